import io
import os
import pickle
import struct
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from mien.flame import read_flame
from mien.passive_pickle import load_passive, to_array

Arrays = dict[str, Any]


def small_flame(num_vertices: int = 40, num_components: int = 8) -> Arrays:
    """Arrays in FLAME's layout, with nothing trivial in them."""
    rng = np.random.default_rng(0)
    weights = rng.random((num_vertices, 5))
    regressor = scipy.sparse.random(
        5, num_vertices, 0.3, "csc", rng=rng
    ) + scipy.sparse.csc_matrix(np.eye(5, num_vertices))
    return {
        "v_template": rng.normal(size=(num_vertices, 3)),
        "shapedirs": rng.normal(size=(num_vertices, 3, num_components)),
        "posedirs": np.asfortranarray(rng.normal(size=(num_vertices, 3, 36))),
        "J_regressor": scipy.sparse.csc_matrix(regressor),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "f": rng.integers(0, num_vertices, (60, 3)).astype(np.uint32),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


class Ch:
    """Stands for chumpy's class of the same name while a file is written."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Select(Ch):
    pass


class Add(Ch):
    pass


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the classes above be written as chumpy's; they are gone when a file is read."""
    kinds = {Ch: "chumpy.ch", Select: "chumpy.reordering", Add: "chumpy.ch_ops"}
    for kind, module in kinds.items():
        fake = types.ModuleType(module)
        setattr(fake, kind.__name__, kind)
        monkeypatch.setattr(kind, "__module__", module)
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    yield


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which is how FLAME's files hold array data."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, data: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(data)) + data)  # type: ignore[attr-defined]
        self.memoize(data)  # type: ignore[attr-defined]

    dispatch[bytes] = save_bytes


def dump_python2(content: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, 2).dump(content)
    return stream.getvalue()


def assert_same(found: dict[str, NDArray[Any]], wanted: Arrays) -> None:
    for key in ("v_template", "shapedirs", "posedirs", "weights", "f"):
        np.testing.assert_array_equal(found[key], wanted[key])
        assert found[key].dtype in (np.float64, np.int64)
    np.testing.assert_array_equal(found["J_regressor"], wanted["J_regressor"].toarray())
    assert found["parents"].tolist() == [-1, 0, 1, 1, 1]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_of_any_protocol_is_read(protocol: int, tmp_path: Path) -> None:
    wanted = small_flame()
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps(wanted, protocol))
    assert_same(read_flame(path), wanted)


@pytest.mark.usefixtures("chumpy")
def test_a_python_2_pickle_with_chumpy_is_read_without_chumpy(tmp_path: Path) -> None:
    """The layout of the licensed download: latin1 strings, chumpy leaves, a csc matrix."""
    wanted = small_flame()
    content = dict(wanted)
    content["v_template"] = Ch(x=wanted["v_template"], _dirty_vars={"x"}, _itr=None)
    content["shapedirs"] = Ch(x=wanted["shapedirs"], _dirty_vars=set(), want_derivs=False)
    content["v_shaped"] = Add(a=content["v_template"], b=np.array(["text"], dtype=object))
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(dump_python2(content))
    assert b"ccopy_reg" in path.read_bytes() or b"cchumpy.ch" in path.read_bytes()
    for module in [name for name in sys.modules if name.startswith("chumpy")]:
        del sys.modules[module]
    assert_same(read_flame(path), wanted)
    assert not [name for name in sys.modules if name.startswith("chumpy")]


@pytest.mark.usefixtures("chumpy")
def test_a_chumpy_selection_is_evaluated(tmp_path: Path) -> None:
    wanted = small_flame()
    wide = np.random.default_rng(1).normal(size=(40, 3, 20))
    wanted["shapedirs"] = wide[:, :, 2:10]
    indices = np.arange(wide.size).reshape(wide.shape)[:, :, 2:10].ravel()
    content = {
        **wanted,
        "shapedirs": Select(a=Ch(x=wide), idxs=indices, preferred_shape=(40, 3, 8)),
    }
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(content, 2))
    assert_same(read_flame(tmp_path / "flame.pkl"), wanted)


@pytest.mark.parametrize("kind", ["csc", "csr", "coo"])
@pytest.mark.parametrize("suffix", ["matrix", "array"])
@pytest.mark.parametrize("python2", [False, True])
def test_sparse_matrices_come_out_dense(kind: str, suffix: str, python2: bool) -> None:
    make: Callable[..., Any] = getattr(scipy.sparse, f"{kind}_{suffix}")
    dense = np.where(
        np.random.default_rng(3).random((4, 9)) < 0.5, 0.0, np.arange(36).reshape(4, 9)
    )
    data = pickle.dumps(make(dense), 4)
    if python2:  # scipy's modules had no underscore then
        data = pickle.dumps(make(dense), 2).replace(b"._" + kind.encode(), b"." + kind.encode())
    np.testing.assert_array_equal(to_array(load_passive(data)), dense)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4, 2))),
        np.zeros((0, 3), np.float32),
        np.array(True),
        np.float32(1.5),
        np.arange(10.0)[::2],
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_of_any_order_and_type_are_read(array: Any, protocol: int) -> None:
    found = to_array(load_passive(pickle.dumps(array, protocol)))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.asarray(array).dtype.newbyteorder("=")


def test_an_npz_with_the_same_names_is_read(tmp_path: Path) -> None:
    wanted = small_flame()
    content = {**wanted, "J_regressor": wanted["J_regressor"].toarray()}
    np.savez(tmp_path / "flame.npz", **content)
    assert_same(read_flame(tmp_path / "flame.npz"), wanted)


def test_an_npz_with_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "flame.npz", **{**small_flame(), "f": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="holds Python objects"):
        read_flame(tmp_path / "flame.npz")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_npz_is_a_head_or_a_refusal(seed: int, tmp_path: Path) -> None:
    content = {**small_flame(), "J_regressor": small_flame()["J_regressor"].toarray()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **content)
    data = bytearray(stream.getvalue())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), 4):
        data[place : place + 8] = rng.bytes(8)
    (tmp_path / "flame.npz").write_bytes(data)
    try:
        read_flame(tmp_path / "flame.npz")
    except ValueError as error:
        assert "is not" in str(error) and "\n" not in str(error)


def spoiled(**changes: Any) -> bytes:
    content = {**small_flame(), **changes}
    return pickle.dumps({key: value for key, value in content.items() if value is not None}, 2)


NOT_A_HEAD = [
    (spoiled(weights=None, f=None), "it lacks weights, f"),
    (spoiled(v_template=np.zeros((39, 3))), r"`v_template` must be \[40, 3\], got \[39, 3\]"),
    (spoiled(shapedirs=np.zeros((40, 24))), r"`shapedirs` must be \[V, 3, C\]"),
    (spoiled(v_template=np.full((40, 3), np.nan)), "`v_template` must be finite"),
    (spoiled(weights=np.ones((40, 5))), "rows of `weights` must sum to one, one is off by 4"),
    (spoiled(f=np.full((2, 3), 40)), "`f` must name vertices 0 to 39"),
    (spoiled(f=np.full((2, 3), 0.5)), "`f` must hold whole numbers"),
    (spoiled(kintree_table=np.array([[0, 0, 0, 0, 0], range(5)])), "hang together as FLAME's"),
    (spoiled(f=np.array(["a"])), "`f`: arrays must hold numbers, got 'U1'"),
    (spoiled(f=np.array([{}], dtype=object)), "`f`: arrays must hold numbers, got 'O8'"),
    (spoiled(f="faces"), "`f`: an array of numbers is wanted, got str"),
    (pickle.dumps([1, 2]), "it must hold a dictionary, got list"),
    (b"", "The pickle is refused"),
    (b"not a pickle", "The pickle is refused"),
    (spoiled()[:-20], "The pickle is refused"),
    (spoiled()[:3000], "The pickle is refused"),
]


@pytest.mark.parametrize(("data", "message"), NOT_A_HEAD)
def test_files_that_are_no_head_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "flame.pkl").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_flame(tmp_path / "flame.pkl")
    assert "\n" not in str(caught.value)


def test_other_extensions_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        read_flame(tmp_path / "flame.pkl")
    (tmp_path / "flame.obj").touch()
    with pytest.raises(ValueError, match=r"is a \.pkl or \.npz file"):
        read_flame(tmp_path / "flame.obj")
    (tmp_path / "flame.pkl").touch()
    os.truncate(tmp_path / "flame.pkl", 2**31)
    with pytest.raises(ValueError, match="at most 512 MB are read"):
        read_flame(tmp_path / "flame.pkl")


class Reduced:
    """Pickles as a call of anything."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def call(module: str, name: str, argument: bytes) -> bytes:
    """A protocol 0 pickle that calls `module.name(argument)`."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + argument + b"tR."


MARK = "flame_test_ran"
TOUCH = f"V__import__('os').environ.__setitem__('{MARK}', '1')\n".encode()

TRAPS = {
    "os.system": call("os", "system", f"Vexport {MARK}=1\n".encode()),
    "posix.system": call("posix", "system", b"Vtouch /tmp/flame_test_ran\n"),
    "builtins.eval": call("builtins", "eval", TOUCH),
    "python 2 eval": call("__builtin__", "eval", TOUCH),
    "python 2 exec": call("__builtin__", "exec", TOUCH),
    "getattr": call("builtins", "getattr", b"cbuiltins\n__import__\nVx\n"),
    "import": call("builtins", "__import__", b"Vos\n"),
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.tofile.x\x93.",
    "dotted module": call("numpy.core.multiarray", "fromfile", b"V/etc/passwd\n"),
    "numpy runstring": call("numpy.testing._private.utils", "runstring", TOUCH + b"(d"),
    "numpy load": call("numpy", "load", b"V/tmp/x.npy\n"),
    "ctypes": call("ctypes", "CDLL", b"Vlibc.so.6\n"),
    "subprocess": call("subprocess", "getoutput", b"Vid\n"),
    "functools.partial": call("functools", "partial", b"cos\nsystem\n"),
    "operator.attrgetter": call("operator", "attrgetter", b"Vsystem\n"),
    "chumpy submodule by dots": b"\x80\x04\x8c\x09chumpy.ch\x8c\x0bnp.core.add\x93.",
    "like chumpy": call("chumpyx", "Ch", b""),
    "scipy beside": call("scipy.sparse", "load_npz", b"V/tmp/x.npz\n"),
    "persistent id": b"Pfile\n.",
    "binary persistent id": b"K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "old instance": b"(ios\nsystem\n.",
    "reconstruct other": b"ccopy_reg\n_reconstructor\n(cos\nsystem\nc__builtin__\nobject\nNtR.",
    "reconstruct builtin": b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nset\n"
    b"(ltR.",
    "reconstruct array of what": b"cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nobject\n"
    b"(I0\ntVb\ntR.",
    "call a string": b"Vos.system\n(Vid\ntR.",
    "encode by another codec": b"c_codecs\nencode\n(Vx\nVzlib\ntR.",
    "write onto a class": b"cnumpy\ndtype\n(dV__init__\nVx\nsb.",
    "write onto an entry": b"c_codecs\nencode\n(dV__doc__\nVx\nsb.",
    "huge memo": b"N" + b"r\xff\xff\xff\x7f" + b".",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
    "huge bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "huge string": b"T\xff\xff\xff\x7fx.",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "memo never set": b"h\x05.",
    "empty stack": b"0.",
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_malicious_pickles_are_refused_and_nothing_runs(trap: bytes, tmp_path: Path) -> None:
    os.environ.pop(MARK, None)
    path = tmp_path / "flame.pkl"
    path.write_bytes(trap)
    with pytest.raises(ValueError, match="The pickle is refused") as caught:
        read_flame(path)
    assert "\n" not in str(caught.value)
    assert MARK not in os.environ and not Path("/tmp/flame_test_ran").exists()


@pytest.mark.parametrize("key", ["v_template", "extra"])
def test_a_trap_inside_an_otherwise_good_head_does_not_run(key: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = {**small_flame(), key: Reduced(os.system, (f"touch {mark}",))}
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match="asks for posix.system, but only arrays"):
        read_flame(tmp_path / "flame.pkl")
    assert not mark.exists()


def array_state(shape: Any, dtype: Any, data: Any) -> bytes:
    """A pickle of a numpy array with any state."""
    made = Reduced(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"))  # type: ignore[attr-defined]
    made.parts = (*made.parts, (1, shape, dtype, False, data))
    return pickle.dumps(made, 2)


LYING_ARRAYS = [
    array_state((10**12,), np.dtype("f8"), b"12345678"),
    array_state((-1,), np.dtype("f8"), b"12345678"),
    array_state((2**40, 2**40), np.dtype("f8"), b""),
    array_state("shape", np.dtype("f8"), b"12345678"),
    array_state((1,), "f8", b"12345678"),
    array_state((1,), np.dtype("O"), [1]),
    array_state((1,), np.dtype("f8"), [1.0]),
    array_state((1,), np.dtype([("a", "f8")]), b"12345678"),
    array_state((1,) * 40, np.dtype("u1"), b"1"),
    pickle.dumps(Reduced(np.dtype, ("O8", False, True)), 2),
    pickle.dumps(Reduced(np._core.multiarray.scalar, (np.dtype("f8"), b"123")), 2),  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("data", LYING_ARRAYS)
def test_arrays_that_lie_about_themselves_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        to_array(load_passive(data))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("indptr", np.array([0, 99, 99, 99])),
        ("indptr", np.array([0, 3, 1, 4])),
        ("indices", np.array([0, 1, 9, 2])),
        ("indices", np.array([0, 1, -1, 2])),
        ("_shape", (2**40, 3)),
        ("data", np.array([1.0])),
    ],
)
def test_sparse_matrices_that_lie_are_refused(name: str, changed: Any) -> None:
    matrix = scipy.sparse.csc_matrix(np.array([[1.0, 0, 2], [3, 0, 0], [0, 4, 0]]))
    state = {**matrix.__dict__, name: changed}
    with pytest.raises(ValueError):
        to_array(load_passive(csc_pickle(state)))


def csc_pickle(state: dict[str, Any]) -> bytes:
    """A pickle of a csc matrix with any state, through `copy_reg._reconstructor`."""
    import copyreg

    made = Reduced(copyreg._reconstructor, (scipy.sparse.csc_matrix, object, None), state)  # type: ignore[attr-defined]
    return pickle.dumps(made, 2)


def test_a_good_sparse_matrix_through_the_same_door_is_read() -> None:
    matrix = scipy.sparse.csc_matrix(np.array([[1.0, 0, 2], [3, 0, 0], [0, 4, 0]]))
    found = to_array(load_passive(csc_pickle(dict(matrix.__dict__))))
    np.testing.assert_array_equal(found, matrix.toarray())


def test_random_damage_is_a_head_or_a_refusal(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    good = pickle.dumps(small_flame(6, 2), 2)
    path = tmp_path / "flame.pkl"
    for _ in range(150):
        data = bytearray(good)
        for position in rng.integers(0, len(data), rng.integers(1, 6)).tolist():
            data[position] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert read_flame(path)["v_template"].shape == (6, 3)
        except ValueError as error:
            assert "\n" not in str(error)
