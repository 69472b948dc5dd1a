"""PyTorch's file format against PyTorch itself, and against files that mean harm or are broken."""

import contextlib
import io
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch

from simsiam_tf.errors import InputError
from simsiam_tf.interop import torch_file, torch_pickle

LEGACY = {"_use_new_zipfile_serialization": False}
FORMATS = pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
BASE = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
TENSORS = {
    "whole": BASE,
    "transposed": BASE.permute(2, 0, 1),
    "part": BASE[1, :, 1:3],
    "scalar": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
} | {
    str(dtype): torch.tensor([[-1.5, 0.25, 3.0]]).to(dtype)
    for dtype in (torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.bool)
}


def refusal(path):
    with pytest.raises(InputError) as error:
        torch_file.load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@FORMATS
def test_tensors_read_back_as_pytorch_wrote_them(tmp_path, options):
    torch.save({"epoch": 3, "state_dict": TENSORS, "rate": [0.5, None, (True, "x")]}, tmp_path / "any.name", **options)
    content = torch_file.load(tmp_path / "any.name")
    assert (content["epoch"], content["rate"]) == (3, [0.5, None, (True, "x")])
    assert list(content["state_dict"]) == list(TENSORS)
    for name, tensor in TENSORS.items():
        array = content["state_dict"][name].numpy()
        assert array.dtype == tensor.detach().numpy().dtype
        np.testing.assert_array_equal(array, tensor.detach().numpy(), err_msg=name, strict=True)


@FORMATS
def test_bfloat16_becomes_float32(tmp_path, options):
    tensor = torch.tensor([[1.0, -3.140625], [float("inf"), 1e-30]], dtype=torch.bfloat16)
    torch.save([tensor, tensor[0, 1]], tmp_path / "m.pt", **options)
    array, scalar = (each.numpy() for each in torch_file.load(tmp_path / "m.pt"))
    np.testing.assert_array_equal(array, tensor.float().numpy(), strict=True)
    assert scalar == -3.140625


@FORMATS
def test_module_and_optimizer_state_read(tmp_path, options):
    """State dicts carry attributes, optimizers nested lists and dicts with integer keys."""
    net = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)))
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.ones(4, 3)).sum().backward()
    sgd.step()
    content = {"state_dict": net.state_dict(), "optimizer": sgd.state_dict(), "size": BASE.shape, "at": BASE.device}
    torch.save(content, tmp_path / "m.pt", **options)
    read = torch_file.load(tmp_path / "m.pt")
    assert read["size"] == (2, 3, 4)
    assert read["optimizer"]["param_groups"][0]["momentum"] == 0.9
    momentum = sgd.state_dict()["state"][0]["momentum_buffer"].numpy()
    np.testing.assert_array_equal(read["optimizer"]["state"][0]["momentum_buffer"].numpy(), momentum)
    np.testing.assert_array_equal(read["state_dict"]["module.0.weight"].numpy(), net.module[0].weight.detach().numpy())


def test_pytorch_reads_what_is_written(tmp_path):
    arrays = {name: tensor.detach().numpy() for name, tensor in TENSORS.items()}
    content = {"arch": "resnet50", "epoch": 300, "mean": (0.25, 0.5), "state_dict": arrays, "deep": {"none": None}}
    torch_file.save(tmp_path / "new" / "m.pth.tar", content)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.pth.tar"]
    loaded = torch.load(tmp_path / "new" / "m.pth.tar", weights_only=True)
    assert {k: v for k, v in loaded.items() if k != "state_dict"} == {
        k: v for k, v in content.items() if k != "state_dict"
    }
    ours = torch_file.load(tmp_path / "new" / "m.pth.tar")["state_dict"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded["state_dict"][name].numpy(), array, err_msg=name, strict=True)
        np.testing.assert_array_equal(ours[name].numpy(), array, err_msg=name, strict=True)


class Harm:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, LEGACY], ids=["zip", "protocol 4", "legacy"])
def test_nothing_in_a_file_is_executed(tmp_path, options):
    mark = tmp_path / "executed"
    torch.save({"state_dict": TENSORS, "epoch": Harm(os.mkdir, str(mark))}, tmp_path / "m.pt", **options)
    assert "wants to run posix.mkdir" in refusal(tmp_path / "m.pt")
    assert not mark.exists()


@FORMATS
@pytest.mark.parametrize("thing", [print, Harm(bytearray, 10**15), Harm(eval, "1"), object(), np.float64(1)])
def test_other_globals_are_named(tmp_path, options, thing):
    torch.save({"a": thing}, tmp_path / "m.pt", **options)
    assert "save its state_dict alone" in refusal(tmp_path / "m.pt")


def archive(path, **records):
    """A zip as torch.save makes it, from its records."""
    with zipfile.ZipFile(path, "w") as file:
        for name, record in records.items():
            file.writestr(f"top/{name.replace('__', '/').replace('data_pkl', 'data.pkl')}", record)
    return path


def tensor_pickle(offset=0, shape=(2,), strides=(1,), count=4, key="0"):
    """The pickle of one float tensor with the given window."""
    plain = [pickle.dumps(each, 2)[2:-1] for each in ("storage", key, "cpu", count, offset, shape, strides)]
    storage = b"(" + plain[0] + b"ctorch\nFloatStorage\n" + b"".join(plain[1:4]) + b"tQ"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"".join(plain[4:]) + b"\x89NtR."


def test_windows_must_lie_in_their_storage(tmp_path):
    numbers = np.arange(4, dtype="f4").tobytes()
    good = archive(tmp_path / "good", data_pkl=tensor_pickle(offset=1, strides=(2,)), data__0=numbers)
    assert torch_file.load(good).numpy().tolist() == [1.0, 3.0]
    for window in (
        {"offset": 3},
        {"offset": -1},
        {"strides": (4,)},
        {"strides": (-1,)},
        {"shape": (1 << 62,), "strides": (0,)},
        {"shape": (2, 1)},
        {"shape": (1,) * 60, "strides": (0,) * 60},
        {"shape": (2.0,)},
        {"shape": (1,), "strides": (1 << 70,)},
        {"shape": (0, 1 << 40, 1 << 40), "strides": (0, 0, 0)},
        {"count": 1 << 62},
        {"count": 5},
        {"count": -4},
        {"key": "1"},
        {"key": "../data.pkl"},
    ):
        bad = archive(tmp_path / "bad", data_pkl=tensor_pickle(**window), data__0=numbers)
        assert "is damaged or cut short" in refusal(bad), window


def test_the_same_checks_hold_in_the_old_format(tmp_path):
    torch.save(BASE, tmp_path / "m.pt", **LEGACY)
    whole = (tmp_path / "m.pt").read_bytes()
    count = struct.pack("<q", 24)
    (tmp_path / "m.pt").write_bytes(whole.replace(count, struct.pack("<q", 23)))
    assert "is damaged or cut short" in refusal(tmp_path / "m.pt")
    (tmp_path / "m.pt").write_bytes(whole.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
    assert "big-endian" in refusal(tmp_path / "m.pt")


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02](" + b"h\x00" * 3 + b"e.",  # memo entries that do not exist
        b"\x80\x02}]K\x01s.",  # a list as a key
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x02K\x01)R.",  # calls a number
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02(K\x01tQ.",
        b"\x80\x02.",
        b"\x80\x02N",
        b"\x80\x02X\xff\xff\xff\x7fab.",  # a string of two gigabytes
        b"\x80\x02t.",
        b"",
    ],
)
def test_broken_programs_are_damage(tmp_path, program):
    assert "is damaged or cut short" in refusal(archive(tmp_path / "m.pt", data_pkl=program))


def test_other_operations_are_named(tmp_path):
    assert "(pickle operation INST)" in refusal(archive(tmp_path / "m.pt", data_pkl=b"\x80\x02(ios\nsystem\n."))
    assert "(pickle operation EXT1)" in refusal(archive(tmp_path / "m.pt", data_pkl=b"\x80\x02\x82\x01."))


def test_structures_that_grow_as_they_are_walked_do_no_harm(tmp_path):
    """Tuples in tuples, 2**60 leaves: refused as a key, whose hash would take for ever; else only kept."""
    nested = b"\x80\x02)" + b"q\x00h\x00\x86" * 60
    start = time.monotonic()
    assert "damaged" in refusal(archive(tmp_path / "m.pt", data_pkl=nested.replace(b"\x02)", b"\x02})") + b"K\x01s."))
    assert len(torch_file.load(archive(tmp_path / "m.pt", data_pkl=nested + b"."))) == 2
    itself = torch_file.load(archive(tmp_path / "m.pt", data_pkl=b"\x80\x02]q\x00h\x00a."))
    assert itself[0] is itself
    # As a storage key of the old format: protocol, system, content, keys.
    system = pickle.dumps({"little_endian": True}, 2)
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), system, pickle.dumps({}, 2)]
    (tmp_path / "old.pt").write_bytes(b"".join([*parts, nested.replace(b"\x02)", b"\x02])") + b"a."]))
    assert "damaged" in refusal(tmp_path / "old.pt")
    assert time.monotonic() - start < 1


LONG = b"(" + b"N" * (torch_pickle.MOST_ARGUMENTS + 1) + b"tq\x00"


@pytest.mark.parametrize("program", [b"ctorch\ndevice\n%sR.", b"ctorch._utils\n_rebuild_parameter\n%sR.", b"%sQ."])
def test_a_long_tuple_is_refused_unread(program):
    """Else n bytes of a file could have it walked n times: each use of it takes five bytes, and each was a walk."""
    with pytest.raises(ValueError, match="more arguments than anything has"):
        torch_pickle.read(io.BytesIO(b"\x80\x02" + LONG + program % b"h\x00"), {})
    with pytest.raises(ValueError, match="more arguments than anything has"):
        torch_pickle.read(io.BytesIO(b"\x80\x02" + program % b"]q\x00"), {})  # of a list, too, which may be long
    if program.startswith(b"ctorch\ndevice"):
        assert torch_pickle.read(io.BytesIO(b"\x80\x02" + LONG.replace(b"N", b"", 1) + program % b"h\x00")) is None


def test_strides_of_a_tensor_are_counted_before_they_are_read(tmp_path):
    many = tensor_pickle(strides=(0.5,) * (torch_pickle.MOST_AXES + 1))
    with pytest.raises(ValueError, match="more axes than a tensor has"):
        torch_pickle.read(io.BytesIO(many), {})


def test_numbers_of_one_hash_are_no_keys():
    """All multiples of 2**61 - 1 have the hash 0: n of them make a dict of n**2 / 2 comparisons."""
    collide = pickle.dumps({(2**61 - 1) * k: None for k in range(3)}, 2)
    with pytest.raises(ValueError, match="an item without a dict"):
        torch_pickle.read(io.BytesIO(collide))
    assert torch_pickle.read(io.BytesIO(pickle.dumps({0: None, 2**40: None}, 2))) == {0: None, 2**40: None}


def test_a_name_of_nested_tuples_is_not_spelt_out():
    """2**60 leaves in 300 bytes, whose text would never end."""
    nested = b"\x80\x04)" + b"q\x00h\x00\x86" * 60
    for program in (nested + b"\x8c\x01x\x93.", b"\x80\x04\x8c\x01x" + nested[2:] + b"\x93."):
        with pytest.raises(ValueError, match="a global without a name"):
            torch_pickle.read(io.BytesIO(program))


def test_every_cut_and_flip_is_one_line(tmp_path):
    """Whatever byte is lost or changed, the file is read or refused; no other exception, no hang."""
    generator = np.random.default_rng(0)
    for options in ({}, LEGACY):
        torch.save({"state_dict": {"a": BASE, "b": torch.tensor(3)}}, tmp_path / "m.pt", **options)
        whole = (tmp_path / "m.pt").read_bytes()
        for _ in range(200):
            cut = whole[: generator.integers(len(whole))]
            (tmp_path / "m.pt").write_bytes(cut)
            refusal(tmp_path / "m.pt")
            flipped = bytearray(whole)
            flipped[generator.integers(len(whole))] ^= 1 << generator.integers(8)
            (tmp_path / "m.pt").write_bytes(flipped)
            with contextlib.suppress(InputError):
                torch_file.load(tmp_path / "m.pt")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "file"
    assert "cannot be read" in refusal(path)
    assert "cannot be read" in refusal(tmp_path)
    for content in (b"", b"dear diary", pickle.dumps({"a": 1}), b"\x89HDF\r\n"):
        path.write_bytes(content)
        assert "is no PyTorch checkpoint" in refusal(path)
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    assert "zip file without data.pkl" in refusal(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("top/data.pkl", b"\x80\x02N.")
    assert "compressed" in refusal(path)
    assert "big-endian" in refusal(archive(path, data_pkl=b"\x80\x02N.", byteorder=b"big"))


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """A small file of many large storages, all the same bytes."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr("top/data.pkl", tensor_pickle(count=1 << 16))
        file.writestr("top/data/0", bytes(4 << 16))
        first = file.infolist()[-1]
        for key in range(1, 4):
            file.filelist.append(first)
            file.NameToInfo[f"top/data/{key}"] = first
        file._didModify = True
    (tmp_path / "m.pt").write_bytes(raw.getvalue())
    assert "is damaged or cut short" in refusal(tmp_path / "m.pt")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output: cannot write"):
        torch_file.save(tmp_path / "file" / "m.pt", {})
