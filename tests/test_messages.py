"""Every refusal has one form: `key: value ...; way out`, in one line."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "simsiam_tf"
# Parts of a message: who raises them puts the key in front, or the way out behind.
PARTS = {"torch_file.py", "torch_pickle.py"}


def text(node):
    """A string as it is written, each {value} as X; None for what is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
    return None


def messages():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            refuses = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError"
            if refuses and path.name not in PARTS and (message := text(node.args[0])) is not None:
                yield f"{path.name}:{node.lineno}", message


def test_every_message_names_key_and_way_out():
    found = dict(messages())
    assert len(found) > 80
    wrong = {
        place: message
        for place, message in found.items()
        if not re.fullmatch(r"(?s)(--)?[\w.*]+: .+(; .+|X)", message) or "\n" in message or message.endswith(".")
    }
    assert not wrong, "\n".join(f"{place}: {message}" for place, message in wrong.items())
