"""Sources elsewhere: https://, s3:// and other addresses of fsspec. What is there is fetched into the cache, and read from there.

A file is fetched once, and again where its size, tag or time there has changed. The files that a manifest names beside it are
fetched, too. Nothing that is fetched runs code, or is believed more than a file on the disk is; and a manifest may not name files
of this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from selflabel.base.cache_folder import default_cache
from selflabel.base.errors import CannotWrite, UserError
from selflabel.base.files import is_full, write_atomically, write_text
from selflabel.base.text import printable, shortened
from selflabel.items.coco import may_be_coco
from selflabel.items.column_items import holds_media, names_of_cells
from selflabel.items.endings import MANIFEST_ENDINGS, ending_of
from selflabel.items.expand import expand_range
from selflabel.items.manifest import unusable_name
from selflabel.items.rows import CAPTIONS, PATH_COLUMNS, Rows
from selflabel.items.saved_dataset import INFO, STATE, dataset_files

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.")
WEB = ("http", "https")
GOOGLE = ("gs", "gcs")
FOLDER = "remote"  # in the cache; never deleted to make room, for what is in it may be in use
STAMP = ("size", "ETag", "LastModified", "mtime", "updated", "md5Hash")  # of a file there, as its server gives them
CONNECT_S, SILENT_S = 20, 60  # without an answer, after which a server is given up
LEFT_FREE = 1 << 28  # bytes of the disk
AT_ONCE = 8  # files of a manifest that are fetched side by side
MAX_NAME = 200  # characters of a file's own name


def is_remote(name: str) -> bool:
    """Whether a name is an address.

    Example:
        >>> [is_remote(name) for name in ("https://host/x.npy", "s3://bucket/*.tar", "C:/x", "photos", "a://")]
        [True, True, False, False, False]
    """
    return ADDRESS.match(name) is not None


def fetch(address: str) -> dict[str, str]:
    """Local file to address, of everything that an address stands for: a file, a range {000..099}, a pattern or a folder.

    Raises:
        UserError: a package is missing, nothing is there, it may not be read, or the server does not answer.
    """
    addresses = [found for name in expand_range(address) for found in matches(name)]
    if not addresses:
        raise Gone(f"{address}: there is no such file there.")
    fetched = {}
    for each in addresses:
        file = fetch_file(each)
        fetched[str(file)] = each
        try:
            fetch_beside(each, file)
        except UserError as error:
            raise UserError(str(error).replace(str(file), each)) from error
    return of_saved_dataset(address, fetched)


def of_saved_dataset(address: str, fetched: dict[str, str]) -> dict[str, str]:
    """The files that are tables, where an address is a folder of `datasets.save_to_disk`; else all that was fetched."""
    folder = Path(next(iter(fetched))).parent
    if not (address.endswith("/") and {str(folder / name) for name in (STATE, INFO)} <= fetched.keys()):
        return fetched
    try:
        files = [str(folder / name) for name in dataset_files(folder)]
    except UserError as error:
        raise UserError(str(error).replace(str(folder), address.rstrip("/"))) from error
    return {file: fetched[file] for file in files if file in fetched}


# ------------------------------------------------------------------------------------------------------- one address


def file_system(address: str) -> Any:
    """The fsspec file system of an address. Raises UserError where its package is missing."""
    import fsspec

    protocol = urlsplit(address).scheme.lower()
    try:
        return fsspec.filesystem(protocol, **options_of(protocol))
    except ImportError as error:
        if protocol in (*WEB, "s3", "s3a"):
            raise UserError(f"{address}: is read with an extra; pip install 'selflabel[remote]'.") from error
        if protocol in GOOGLE:
            raise UserError(f"{address}: is read by a package of its own; pip install gcsfs.") from error
        raise UserError(f"{address}: is read by a package that is missing ({error}); install it.") from error
    except ValueError as error:
        raise UserError(f"{address}: addresses that begin so are not known; give https://, s3:// or gs://.") from error


def options_of(protocol: str) -> dict[str, Any]:
    """How a file system is opened: a server that is silent is given up, and lists are read anew."""
    if protocol in WEB:
        import aiohttp

        wait = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
        return {"client_kwargs": {"timeout": wait}, "use_listings_cache": False}
    if protocol in ("s3", "s3a"):
        waits = {"connect_timeout": CONNECT_S, "read_timeout": SILENT_S, "retries": {"max_attempts": 2}}
        return {"config_kwargs": waits, "use_listings_cache": False}
    return {}


def asked(address: str, ask: Callable[[], Any]) -> Any:
    """What a server answers, its errors as a sentence."""
    try:
        return ask()
    except (UserError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        if not is_gone(error):
            raise no_answer(address, error.__cause__ or error) from error
        raise Gone(f"{address}: there is no such file there.") from error
    except Exception as error:  # of any library for any kind of server
        if is_full(error):
            raise
        reason = printable(shortened(str(error) or type(error).__name__, 200))
        if isinstance(error, PermissionError) or "redentials" in str(error):
            raise UserError(f"{address}: may not be read ({reason}); give a key of yours, or FSSPEC_S3_ANON=true.") from error
        raise no_answer(address, error) from error


def is_gone(error: FileNotFoundError) -> bool:
    """Whether a server said that there is no such file; fsspec says so, too, of one that does not answer."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError):
        return True
    return not isinstance(cause, OSError | TimeoutError) and getattr(cause, "status", 404) in (404, 410)


def no_answer(address: str, error: BaseException) -> NoAnswer:
    """The error of a server that does not answer, or not as it should."""
    reason = printable(shortened(str(error) or type(error).__name__, 200))
    return NoAnswer(f"{address}: cannot be fetched ({reason}); check the address and the network.")


class Gone(UserError):
    """There is no such file."""


class NoAnswer(UserError):
    """A server does not answer, or not as it should."""


def matches(address: str) -> list[str]:
    """The addresses that a pattern, or a folder that ends in /, stands for; an address without a pattern is itself."""
    scheme = urlsplit(address).scheme
    is_web = scheme.lower() in WEB
    if is_web and "*" in address:
        raise UserError(f"{address}: a web server lists no files; give a range, such as shard-{{000..099}}.tar.")
    if is_web or not (address.endswith("/") or any(sign in address for sign in "*?[")):
        return [address]
    system = file_system(address)
    pattern = address + "*" if address.endswith("/") else address
    found = asked(address, lambda: system.glob(pattern, detail=True))
    return [f"{scheme}://{name}" for name, info in sorted(found.items()) if info.get("type") == "file"]


def local_file(address: str) -> Path:
    """Where a file is kept: in a folder of the folder that it lies in there, under its own name.

    Raises:
        UserError: the address ends in no name.
    """
    parts = urlsplit(address)
    is_web = parts.scheme.lower() in WEB
    name = (unquote(parts.path) if is_web else address).rsplit("/", 1)[-1]
    if not name or name in (".", "..") or len(name) > MAX_NAME or unusable_name(name) or os.sep in name:
        raise UserError(f"{shortened(address)}: ends in no name of a file.")
    digest = hashlib.blake2b(f"{folder_of(address)}?{parts.query if is_web else ''}".encode(), digest_size=16).hexdigest()
    return default_cache() / FOLDER / digest / name


def folder_of(address: str) -> str:
    """The address of the folder that a file lies in, without the end."""
    is_web = urlsplit(address).scheme.lower() in WEB
    return (address.partition("?")[0] if is_web else address).rsplit("/", 1)[0]


def fetch_file(address: str) -> Path:
    """The local copy of a file, fetched where there is none, or another one is there now; without an answer it is the old one."""
    file = local_file(address)
    note = file.with_name(f".{file.name}.json")
    try:
        info = asked(address, lambda: file_system(address).info(address))
    except NoAnswer:
        if file.is_file():
            return file
        raise
    stamp = json.dumps([str(info.get(name)) for name in STAMP])
    if file.is_file() and read_text(note) == stamp:
        return file
    copy_file(address, file, info.get("size"))
    write_text(note, stamp)
    return file


def read_text(file: Path) -> str:
    """The text of a small file of our own; "" where there is none."""
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8")
    return ""


def copy_file(address: str, file: Path, size: int | None) -> None:
    """Write the local copy of a file whole. size: in bytes, where it is known."""
    from fsspec.callbacks import Callback

    class Room(Callback):
        def relative_update(self, inc: int = 1) -> None:
            check_room(address, 0)

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        check_room(address, size or 0)
        system = file_system(address)
        write_atomically(file, lambda place: asked(address, lambda: system.get_file(address, str(place), callback=Room())))
    except CannotWrite:
        raise
    except OSError as error:
        raise UserError(f"{file.parent}: cannot be written ({error}); name another cache with SELFLABEL_CACHE.") from error


def check_room(address: str, size: int) -> None:
    """Raise UserError where so many bytes more would fill the disk."""
    cache = default_cache()
    if shutil.disk_usage(cache).free < LEFT_FREE + size:
        raise UserError(f"{address}: there is no room for it in {cache}; make room, or name another cache with SELFLABEL_CACHE.")


# ---------------------------------------------------------------------------------------------- what a manifest names


def fetch_beside(address: str, file: Path) -> None:
    """Fetch the files that a manifest names below its own folder. One that cannot be fetched is missing, as on a disk."""
    ending = ending_of(file.name)
    if ending not in MANIFEST_ENDINGS or may_be_coco(file):
        return
    waiting = [name for name in names_beside(address, file) if not (file.parent / name).is_file()]

    def fetch_one(name: str) -> None:
        with suppress(Gone, NoAnswer):
            copy_file(f"{folder_of(address)}/{name}", file.parent / name, None)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fetch_one, waiting))


def names_beside(address: str, file: Path) -> list[str]:
    """The relative paths of a manifest, each once.

    Raises:
        UserError: it names a file of this machine.
    """
    names: dict[str, None] = {}
    for name in paths_in(file):
        if Path(name).is_absolute():
            raise UserError(
                f"{address}: names a file of this machine ({shortened(name)}); a manifest from elsewhere may name only files "
                "beside it; download it, and look at it."
            )
        below = posixpath.normpath(name.replace("\\", "/"))
        if not (unusable_name(name) or is_remote(name) or below.startswith("..") or below == "."):
            names[below] = None
    return list(names)


def paths_in(file: Path) -> Iterable[str]:
    """Every path in a manifest, or in the cells without bytes of a table of pictures."""
    if holds_media(file):
        return names_of_cells(file)
    rows = Rows(file, frozenset({*PATH_COLUMNS, CAPTIONS}))
    return (str(cell) for row in rows for cell in row.values() if cell)
