"""YAML -> values, and none that its writer did not mean: what YAML 1.1 does in silence is refused.

It takes the last of two lines of one name, 010 for 8 and 1:30 for 90.
"""

import re

import yaml


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a name that is given twice."""

    def compose_mapping_node(self, anchor):
        node, seen = super().compose_mapping_node(anchor), set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    told = f"{key.value!r} is there twice; keep one of the two"
                    raise yaml.MarkedYAMLError(None, None, told, key.start_mark)
                seen.add(key.value)
        return node

    def construct_number(self, node):
        """Construct a number that is written as one reads it."""
        kind = node.tag.rpartition(":")[2]
        value = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(self, node)
        if re.match(r"[-+]?0[0-9_]+$|.*:", node.value):
            told = f"{node.value} would be read as {value}; write it plainly, or put it in quotes"
            raise yaml.MarkedYAMLError(None, None, told, node.start_mark)
        return value


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def load(text: str) -> object:
    """Return what a text in YAML holds.

    Raises:
        ValueError: it is no YAML, holds a name twice or a number that is not read as it looks.
    """
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # it raises what it likes, as of a date that there is not
        raise ValueError(str(error) or type(error).__name__) from None
