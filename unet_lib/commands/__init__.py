"""What the command line does beyond running notebooks: `check` a source, `predict` masks."""
