"""Settings that nobody would write: one line with the way out, or a configuration that can be stored and read again."""

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.schema import Config

KEYS = sorted(files.flat(Config()))
many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def whole_file():
    """A file with every key."""
    content = {}
    for key, value in files.flat(Config()).items():
        section, _, name = key.rpartition(".")
        (content.setdefault(section, {}) if section else content)[name] = value
    return yaml.safe_dump(content).encode()


DEFAULT = whole_file()
keys = st.sampled_from(KEYS)
written = st.sampled_from(
    r"""nan .inf -.inf -1 0 1e400 2147483648 null ~ [nan] [1.0,.inf] [] {} [[1]] 0x1f 1_0 2001-01-01 <<:1 *a &a[*a]
    "\0" "a\nb" !!python/name:os.system !!binary""".split()  # noqa: SIM905
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
nested = st.recursive(plain, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3))


def parse(arguments):
    return files.parse(files.OneLineParser(prog="simsiam-tf train"), arguments)[1]


def assert_refused_or_kept(tmp_path, arguments):
    try:
        config = parse(arguments)
    except InputError as error:
        message = str(error)
        assert message and "\n" not in message  # noqa: PT018 - a refusal need not come
        return
    files.write(config, tmp_path / "kept.yaml")
    assert files.read(tmp_path / "kept.yaml") == config


def assert_file_refused_or_kept(tmp_path, content):
    (tmp_path / "odd.yaml").write_bytes(content)
    assert_refused_or_kept(tmp_path, ["--config", str(tmp_path / "odd.yaml")])


@many
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"seed: \xff")
@example(b"name: \xed\xa0\x80")
@example(b"[" * 2000)
@example(b"a: &a [*a]")
@example(b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n")
def test_any_bytes_as_a_file(tmp_path, content):
    assert_file_refused_or_kept(tmp_path, content)


@many
@given(st.integers(0, len(DEFAULT)), st.integers(0, 4), st.binary(max_size=4))
def test_a_damaged_file(tmp_path, start, length, inserted):
    assert_file_refused_or_kept(tmp_path, DEFAULT[:start] + inserted + DEFAULT[start + length :])


@many
@example("optimizer.epochs", "null")
@example("optimizer", "null")
@example("evaluation.fractions", "[null]")
@example("evaluation.baselines", "null")
@example("method", "3")
@example("method.name", "[1]")
@given(keys, written | nested.map(lambda value: yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n")))
def test_any_value_in_a_file(tmp_path, key, value):
    section, _, name = key.rpartition(".")
    assert_file_refused_or_kept(
        tmp_path, (f"{section}: {{{name}: {value}}}" if section else f"{name}: {value}").encode()
    )


@many
@example("name", "1e-3")
@example("data.name", "1e400")
@example("output", "0x1f")
@given(keys, written | st.text(max_size=20))
def test_any_value_of_an_option(tmp_path, key, value):
    assert_refused_or_kept(tmp_path, [f"--{key}={value}"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("optimizer.learning_rate", "a number above 0"),
        ("augmentation.brightness", "a number from 0 to 255 or null"),
        ("data.memory_limit_gb", "a number 0 or more"),
        ("method.predictor_ratio", "a number 0 or more"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path, key, wanted, value):
    (tmp_path / "odd.yaml").write_text("{}: {{{}: .{}}}".format(*key.split("."), value).replace(".-", "-."))
    with pytest.raises(InputError, match=f"^{key}: {value} is no value of it; give {wanted}$"):
        files.read(tmp_path / "odd.yaml")


def test_whole_numbers_have_a_limit():
    with pytest.raises(InputError, match=r"^seed: 2147483648 is no value of it; give a whole number up to 2147483647$"):
        parse(["--seed=2147483648"])
    assert parse(["--seed=2147483647"]).seed == 2147483647
