"""Names, handles and addresses: what is asked for, where it is kept, and what is refused at once."""

import re
from pathlib import Path

import pytest

from movinet_lite.errors import ModelError, VariantError
from movinet_lite.hub import MODEL_NAMES
from movinet_lite.hub.handles import DEMO_NAME, find_remotes, is_demo, is_kaggle_handle
from movinet_lite.network.variants import Mode, known_variants

TFHUB = "https://tfhub.dev/tensorflow/movinet"
TFLITE = "https://tfhub.dev/tensorflow/lite-model/movinet/a0/stream/kinetics-600/classification/tflite/int8/1"
KAGGLE = "https://www.kaggle.com/models/google/movinet"
KAGGLE_API = "https://www.kaggle.com/api/v1/models/google/movinet"


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch, tmp_path):
    monkeypatch.delenv("MOVINET_LITE_HUB", raising=False)
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))


def addresses(source: str, mode: Mode) -> list[str]:
    """Return what is asked for, in order; ``kagglehub:`` before what its package is asked for."""
    return [
        f"kagglehub:{remote.kaggle_handle}" if remote.kaggle_handle else remote.address
        for remote in find_remotes(source, mode)
    ]


def test_demo_is_a_name_of_its_own():
    """The model of the package has a name, which no published model has, and a path is never taken for it."""
    assert is_demo("demo")
    assert is_demo("Demo")
    assert not is_demo("./demo")
    assert not is_demo(Path("demo"))
    assert DEMO_NAME not in MODEL_NAMES


def test_names_are_variants():
    """Every name is that of a variant."""
    assert set(MODEL_NAMES) <= set(known_variants())


@pytest.mark.parametrize("name", [*MODEL_NAMES, "A0"])
@pytest.mark.parametrize(("mode", "version"), [("base", 3), ("stream", 2)])
def test_name_is_asked_for_on_tfhub_then_on_kaggle(name, mode, version):
    """A name stands for the published model of the mode, whose versions differ on Kaggle."""
    small = name.lower()
    handle = f"{small}-{mode}-kinetics-600-classification/{version}"
    assert addresses(name, mode) == [
        f"{TFHUB}/{small}/{mode}/kinetics-600/classification/3?tf-hub-format=compressed",
        f"kagglehub:google/movinet/tensorFlow2/{handle}",
        f"{KAGGLE_API}/tensorFlow2/{handle}/download",
    ]


def test_tfhub_address_is_asked_for_in_its_format():
    """A SavedModel comes compressed, a lite-model as the TFLite file it is; slashes and queries do no harm."""
    a1 = f"{TFHUB}/a1/base/kinetics-600/classification/3"
    assert addresses(f"{a1}/?tf-hub-format=compressed", "base") == [
        f"{a1}?tf-hub-format=compressed"
    ]
    assert addresses(TFLITE, "stream") == [f"{TFLITE}?lite-format=tflite"]


@pytest.mark.parametrize(
    "source",
    [
        "google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3",
        "google/movinet/TensorFlow2/a0-base-kinetics-600-classification/3",
        f"{KAGGLE}/tensorFlow2/a0-base-kinetics-600-classification/3",
        f"{KAGGLE}/TensorFlow2/a0-base-kinetics-600-classification/3?tfhub-redirect=true",
        "https://kaggle.com/models/google/movinet/frameworks/TensorFlow2/variations/a0-base-kinetics-600-classification/versions/3",
    ],
)
def test_kaggle_handles_and_addresses_mean_the_same(source):
    """A handle and the addresses of its page find one model, kept in one place."""
    handle = "google/movinet/tensorFlow2/a0-base-kinetics-600-classification/3"
    package, plain = find_remotes(source, "base")
    assert package.kaggle_handle == handle
    assert plain.address == f"https://www.kaggle.com/api/v1/models/{handle}/download"
    assert package.page == plain.page == f"https://www.kaggle.com/models/{handle}"
    assert package.entry == plain.entry == "kaggle--" + handle.replace("/", "--")


@pytest.mark.parametrize(
    "handle",
    [
        "google/movinet/tensorFlow2/a0-base-kinetics-600-classification",
        "google/movinet/tensorFlow2/a0-base-kinetics-600-classification/latest",
        f"{KAGGLE}",
        f"{KAGGLE}/pyTorch/a0/1",
        f"{KAGGLE}/tensorFlow2/a0-base-kinetics-600-classification",
    ],
)
def test_incomplete_kaggle_handle_is_an_error(handle):
    """A handle without its version, or of a framework we cannot read, is refused with an example of a good one."""
    with pytest.raises(ModelError, match=r"must be owner/.*/version.*such as google/"):
        find_remotes(handle, "base")


def test_what_looks_like_a_kaggle_handle():
    """The framework tells a handle from a path."""
    assert is_kaggle_handle("google/movinet/tensorFlow2/a0/1")
    assert is_kaggle_handle("google/movinet/tflite/a0")
    assert not is_kaggle_handle("home/me/models/a0/1")
    assert not is_kaggle_handle("models/a0")


@pytest.mark.parametrize(
    "source",
    [
        f"{TFHUB}/a2/base/kinetics-600/classification/3",
        "google/movinet/tensorFlow2/a2-base-kinetics-600-classification/3",
        f"{KAGGLE}/tensorFlow2/a2-base-kinetics-600-classification/3",
    ],
)
def test_base_model_for_a_stream_is_refused_at_once(source):
    """A handle that says base is refused where a stream model is needed, with the way out."""
    find_remotes(source, "base")
    with pytest.raises(
        ModelError, match="a stream model is needed here; this is a base"
    ) as caught:
        find_remotes(source, "stream")
    assert (
        "(use 'a2', which finds the right one, or pass this one to BaseClassifier)"
        in (str(caught.value))
    )
    assert (caught.value.expected, caught.value.received) == ("stream", "base")


def test_stream_model_for_a_clip_is_refused_at_once():
    """A handle that says stream is refused where a base model is needed."""
    with pytest.raises(ModelError, match=r"a base model is needed here; .*Streaming"):
        find_remotes(TFLITE, "base")


def test_other_addresses_are_kept_apart():
    """Addresses have readable places of their own, though they differ in what follows the question mark only."""
    entries = set()
    for query in ("", "?version=1", "?version=2"):
        address = f"https://models.example.org:8080/my%20net/a0.tar.gz{query}"
        (remote,) = find_remotes(address, "base")
        assert remote.address == remote.page == address
        assert remote.entry.startswith("models.example.org--my-20net--a0.tar.gz-")
        entries.add(remote.entry)
    assert len(entries) == 3


def test_folders_in_the_docs_are_the_real_ones():
    """The page about models shows the names that folders of the cache really have."""
    page = Path(__file__).parents[2] / "docs" / "models.md"
    shown = re.findall(r"^        (\S+--\S+)/$", page.read_text("utf-8"), re.MULTILINE)
    sources: list[tuple[str, Mode]] = [
        ("a0", "base"),
        (
            "google/movinet/tensorFlow2/a2-stream-kinetics-600-classification/2",
            "stream",
        ),
        ("https://models.example.org/our-a2.tar.gz", "stream"),
    ]
    assert shown == [find_remotes(*source)[0].entry for source in sources]


@pytest.mark.parametrize(
    "others",
    [
        ("https://tfhub.dev/a/b", "https://tfhub.dev/a--b", "https://tfhub.dev/a-b"),
        ("https://tfhub.dev/a~b", "https://tfhub.dev/a+b", "https://tfhub.dev/a-b"),
        tuple(f"https://tfhub.dev/{'a/' * 100}{end}" for end in "123"),
        ("https://x/a/b", "https://x/a-b", "http://x/a/b", "https://x/a%2Fb"),
    ],
)
def test_no_two_models_share_a_place(others):
    """Addresses that differ in the least are kept apart, since a wrong model would go unnoticed."""
    entries = {find_remotes(address, "base")[0].entry for address in others}
    assert len(entries) == len(others)


@pytest.mark.parametrize(
    "address",
    [
        "http://x/" + "a/" * 500,
        "http://x/../..",
        "http://../x",
        "https://tfhub.dev/../../../x",
        "https://tfhub.dev/" + "long/" * 500,
        "http://x/.hidden\\\n:*?\0",
    ],
)
def test_place_in_the_cache_is_one_plain_name(address, tmp_path):
    """Whatever the address, its place is one folder of the cache, with a name that every system takes."""
    (remote,) = find_remotes(address, "base")
    assert remote.folder.parent == tmp_path / "models"
    assert remote.folder.resolve().parent == (tmp_path / "models").resolve()
    assert len(remote.entry) < 200
    assert not remote.entry.startswith(".")
    assert not set(remote.entry) & set('/\\:*?"<>|\0\n ')


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "ftp://x/a", "gs://bucket/a", "http://", "http:///a"],
)
def test_address_must_be_http(address):
    """Only http and https are asked, and a host must be named."""
    with pytest.raises(
        ModelError, match="must start with http:// or https:// and have"
    ):
        find_remotes(address, "base")


def test_password_in_an_address_is_refused_and_not_shown():
    """A password that stands in an address does not end up in a message or a note."""
    with pytest.raises(
        ModelError, match="must not contain a user name or pass"
    ) as caught:
        find_remotes("https://me:secret@models.example.org/a.tar.gz", "base")
    assert "secret" not in str(caught.value)


def test_broken_address_is_an_error():
    """An address that cannot be read is told as such."""
    with pytest.raises(ModelError, match="this is not a valid URL: Invalid IPv6 URL"):
        find_remotes("http://[::1/a", "base")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a7", "; did you mean 'a"),
        ("ao", "; did you mean 'a"),
        ("movinet-a2", "; did you mean 'a2'?"),
        ("MoViNet_A3", "; did you mean 'a3'?"),
        ("t0", "; did you mean 'a0'?"),
        ("resnet", "'resnet'"),
        ("", "got ''"),
    ],
)
def test_unknown_name_lists_the_known_ones(name, hint):
    """A name that is unknown is an error with all known ones, and the nearest where one is near."""
    with pytest.raises(
        VariantError, match="one of demo, a0, a1, a2, a3, a4, a5, a URL"
    ) as caught:
        find_remotes(name, "stream")
    assert hint in str(caught.value)
    assert caught.value.known == (DEMO_NAME, *MODEL_NAMES)
    assert caught.value.name == name


@pytest.mark.parametrize(
    "mirror", ["http://127.0.0.1:1", "https://mirror.example.org/hub/"]
)
def test_mirror_stands_for_tfhub_and_kaggle(mirror, monkeypatch):
    """``MOVINET_LITE_HUB`` takes the place of both, nobody else is asked, and the places in the cache stay."""
    public = find_remotes("a0", "base")
    monkeypatch.setenv("MOVINET_LITE_HUB", mirror)
    tfhub, kaggle = find_remotes("a0", "base")
    base = mirror.rstrip("/")
    assert tfhub.address == public[0].address.replace("https://tfhub.dev", base)
    assert kaggle.address == public[2].address.replace("https://www.kaggle.com", base)
    assert kaggle.kaggle_handle is None
    assert [tfhub.entry, kaggle.entry] == [public[0].entry, public[2].entry]
    assert [tfhub.page, kaggle.page] == [public[0].page, public[2].page]
    other = "https://models.example.org/a.tar.gz"
    assert find_remotes(other, "base")[0].address == other


def test_mirror_must_be_an_address(monkeypatch):
    """A mirror that is no http address is an error that names the variable."""
    monkeypatch.setenv("MOVINET_LITE_HUB", "/mnt/mirror")
    with pytest.raises(ModelError, match=r"/mnt/mirror: .*MOVINET_LITE_HUB must start"):
        find_remotes("a0", "base")
