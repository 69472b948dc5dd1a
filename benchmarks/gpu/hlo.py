"""What an optimised HLO program does: its kernels, the bytes each moves, the multiplications, and a time from these."""

import math
import re
from collections import Counter
from dataclasses import dataclass

SIZES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2}
SIZES |= {"s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "partition-id", "replica-id"}
VIEWS = {"slice", "dynamic-slice", "gather"}  # a fusion that reads an array through one of these reads a part of it
# An H100's: bytes a second, and operations a second of products by what multiplies: bfloat16, TF32 where a product of
# float32 may be one, and float32 outside of the tensor cores.
BANDWIDTH, RATES = 3.0e12, {"bf16": 790e12, "tf32": 395e12, "f32": 60e12}
GEMM = "__cublas$gemm"


@dataclass
class Kernel:
    """One kernel, or one call of a library: `times` runs a step, of so many bytes and operations each."""

    name: str
    kind: str  # convolution, product, augmentation, other
    times: int
    bytes: int
    operations: float
    unit: str  # a key of RATES

    def seconds(self, share=1.0, bandwidth=BANDWIDTH, least=0.0):
        """Time of all runs, at this share of the rate of products and with a least time for each run."""
        return self.times * max(self.bytes / bandwidth, self.operations / (RATES[self.unit] * share), least)


def kernels(text):
    """The kernels of a program's text, those in loops as often as the loop runs."""
    computations, entry = _parse(text)
    return [_kernel(computations, *found) for found in _walk(computations, entry, 1)]


def summary(found):
    """Kernels, GB, and two times in ms: a bound (bytes or operations at full rate), and a guess.

    The guess: 60 % of the rate of products, 2.7 TB/s, 2 us for the smallest kernel.
    """
    by_kind = Counter()
    for each in found:
        by_kind[each.kind] += 1000 * each.seconds()
    return {
        "kernels": sum(each.times for each in found),
        "gb": sum(each.times * each.bytes for each in found) / 1e9,
        "bound_ms": sum(by_kind.values()),
        "guess_ms": 1000 * sum(each.seconds(0.6, 2.7e12, 2e-6) for each in found),
        "bound_ms_by_kind": dict(by_kind),
    }


def _parse(text):
    computations, current, entry = {}, None, None
    for line in text.splitlines():
        if head := HEAD.match(line):
            current = computations.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (found := LINE.match(re.sub(r"/\*.*?\*/", "", line))):
            name, shape, operation, rest = found.groups()
            end = _closing(rest)
            arguments = re.findall(r"%([\w.\-]+)", rest[:end])
            current[name] = {"op": operation, "shape": shape, "arguments": arguments, "inside": rest[:end]}
            current[name] |= {"name": name, "attributes": rest[end + 1 :]}
    return computations, entry


def _closing(rest):
    """Where the argument list ends."""
    depth = 1
    for place, letter in enumerate(rest):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return place
    return len(rest)


def _attribute(instruction, pattern):
    found = re.search(pattern, instruction["attributes"])
    return found and found[1]


def _walk(computations, computation, times):
    """(computation, instruction, times) of everything that runs."""
    for each in computations[computation].values():
        if each["op"] == "while":
            trips = int(_attribute(each, r'known_trip_count":\{"n":"(\d+)"') or 1)
            yield from _walk(computations, _attribute(each, r"body=%([\w.\-]+)"), times * trips)
            yield from _walk(computations, _attribute(each, r"condition=%([\w.\-]+)"), times * (trips + 1))
        elif each["op"] in ("call", "conditional"):
            for called in re.findall(r"to_apply=%([\w.\-]+)", each["attributes"]):
                yield from _walk(computations, called, times)
        elif each["op"] not in FREE:
            yield computation, each, times


def _arrays(shape):
    found = re.findall(r"\b(pred|[sufb]+\d+)\[([\d,]*)\]", shape)
    return [(dtype, [int(side) for side in sides.split(",") if side]) for dtype, sides in found]


def _bytes(shape):
    return sum(SIZES[dtype] * math.prod(sides) for dtype, sides in _arrays(shape))


def _kernel(computations, computation, each, times):
    scope = computations[computation]
    inner = computations.get(_attribute(each, r"calls=%([\w.\-]+)"), {})
    target = _attribute(each, r'custom_call_target="([^"]+)"') or ""
    moved = _bytes(each["shape"].partition(", s8[")[0] if target == GEMM else each["shape"])  # less its workspace
    for number, argument in enumerate(each["arguments"]):
        moved += _read(inner, number, _bytes(scope[argument]["shape"]) if argument in scope else 0)
    operations, unit, kind = 0.0, "bf16", "other"
    for own, where in [(one, inner) for one in inner.values()] or [(each, scope)]:
        if own["op"] == "dot" or target == GEMM:
            unit, kind = _unit(own, where), "product"
            operations += _dot(own, where)
    if "conv" in target:
        operations, kind = _convolution(each, target, scope), "convolution"
    if "augmenter" in (_attribute(each, r'op_name="([^"]*)"') or ""):
        kind = "augmentation"
    return Kernel(each["name"], kind, times, moved, operations, unit)


def _unit(own, scope):
    """What multiplies: a key of RATES."""
    dtype = _arrays(scope[own["arguments"][0]]["shape"])[0][0]
    full = re.search(r"operand_precision[\"=:]+[\[{]\"?highest", own["attributes"], re.IGNORECASE)
    return dtype if dtype == "bf16" or full else "tf32"


def _read(inner, number, whole):
    """Bytes that a fusion reads of its argument with this number."""
    names = [one["name"] for one in inner.values() if one["op"] == "parameter" and one["inside"] == str(number)]
    users = [one for one in inner.values() if names and names[0] in one["arguments"]]
    if users and all(one["op"] in VIEWS for one in users):
        return min(whole, sum(_bytes(one["shape"]) for one in users))
    return whole


def _dot(own, scope):
    _, left = _arrays(scope[own["arguments"][0]]["shape"])[0]
    axes = _attribute(own, r"lhs_contracting_dim(?:s=\{|ensions\":\[)([\d,\"]*)") or ""
    contracted = [left[int(axis)] for axis in re.findall(r"\d+", axes)]
    return 2.0 * math.prod(contracted) * math.prod(_arrays(own["shape"])[0][1])


def _convolution(each, target, scope):
    """2 n h w i o k k, from whichever of image, kernel and output the call takes and gives."""
    first, second = (_arrays(scope[argument]["shape"])[0][1] for argument in each["arguments"][:2])
    result = _arrays(each["shape"])[0][1]
    channels = re.search(r"dim_labels=\w+_\w+->(\w+)", each["attributes"])[1].index("f")
    if "BackwardFilter" in target:
        output, kernel = second, result
    elif "BackwardInput" in target:
        output, kernel = first, second
    else:
        output, kernel = result, second
    return 2.0 * math.prod(output) * math.prod(kernel) / output[channels]
