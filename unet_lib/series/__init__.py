"""The numbered notebooks, executed by papermill, and a report of what they show.

Rooms: `yaml_text` reads what people write, and refuses what is ambiguous in it; `plan` refuses a
wrong request before anything runs and says which notebook needs which, `execute` runs what is
planned, two notebooks at a time, in `kernels` that no setting of the user changes; `progress` shows
how far they are, `report` what came out. A study of many runs: `sweep` turns its file into points,
`points` is one job, `drive` lets Snakemake run them, `probe` times ten steps for an estimate,
`collect` gathers what came out, `study` reads and draws it, `pages` shows it. papermill, nbconvert
and rich are imported only where they are used, so that `--help` and a refusal are quick.
"""
