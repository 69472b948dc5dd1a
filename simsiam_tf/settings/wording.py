"""jsonargparse's errors in this project's one form: `key: value ...; give ...`."""

from __future__ import annotations

import re

from simsiam_tf.settings.renamed import RENAMED

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
}


def one_line(message: str, command: str) -> str:
    """What a parser says of a mistake, in one line.

    Args:
        message: jsonargparse's, of several lines.
        command: Whose options these are, such as "simsiam-tf train".
    """
    message = " ".join(message.split())
    options = f"give an option of {command} --help"
    if found := re.fullmatch(r'[Pp]arser key "([\w.]+)": ([\w.-]+: .*); (give .*)', message):  # of what lies inside it
        inside = "" if found[1] == "config" else f"{found[1]}."
        return f"{inside}{found[2]}; {options if '--help' in found[3] else found[3]}"
    if found := re.search(r"[Uu]nrecognized arguments: (.*)", message):
        key = found[1].removeprefix("--").split("=")[0].split(" ")[0]
        if key in RENAMED:
            return f"{key}: it has another name now; give {RENAMED[key]}"
        return f"{found[1]}: unknown; {options}"
    if found := re.search(r"Group '(.*?)' does not accept option '(.*?)'", message):
        return f"{found[1]}.{found[2]}: unknown; {options}"
    if found := re.search(r"Option '(.*?)' is not accepted", message):
        return f"{found[1]}: unknown; {options}"
    key = re.search(r'[Pp]arser key "(.*?)"', message)
    wanted = [
        _words(each) for each in re.findall(r"Expected an? (.*?)(?=\.? Got value|\.? Given value| - |$)", message)
    ]
    value = re.search(r"(?:Got|Given) value: (.*)$", message)
    if key and wanted and value:
        return f"{key[1]}: {value[1]} is no value of it; give {' or '.join(dict.fromkeys(wanted))}"
    return f"{message.removesuffix('.')}; {options}"


def _words(kind: str) -> str:
    """`<class 'int'>` and `typing.Literal['a', 'b']` in words."""
    if found := re.fullmatch(r"<class '(?:.*\.)?(\w+)'>", kind.strip()):
        return TYPES.get(found[1], found[1])
    if found := re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", kind.strip()):
        return " or ".join(part.strip(" '\"") for part in found[1].split(","))
    return kind.strip().replace("typing.", "").replace("tuple with", "a list of")
