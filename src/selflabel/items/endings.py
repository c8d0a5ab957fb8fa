"""File endings: which kind of medium a file's name stands for, and why others are not read. Endings are matched without case."""

from __future__ import annotations

from importlib.util import find_spec

HEIC_ENDINGS = frozenset({".heic", ".heif", ".hif"})
HAS_HEIC = find_spec("pillow_heif") is not None  # the extra selflabel[heic]
HAS_AVIF = find_spec("PIL._avif") is not None  # Pillow from 11.3 on

IMAGE_ENDINGS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".pcx", ".psd", ".qoi", ".dds",
    ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".xbm", ".xpm", ".ico", ".icns", ".cur", ".dcx", ".msp", ".blp", ".fits", ".jpc",
    *((".avif",) if HAS_AVIF else ()), *(HEIC_ENDINGS if HAS_HEIC else ()),
}  # fmt: skip
VIDEO_ENDINGS = {
    ".mp4", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".flv", ".f4v", ".m4v", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v",
    ".vob", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".mxf", ".rm", ".rmvb", ".dv", ".y4m", ".mjpeg",
}  # fmt: skip
SOUND_ENDINGS = {
    ".wav", ".wave", ".w64", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".m4a", ".m4b", ".aac", ".aif", ".aiff",
    ".aifc", ".au", ".snd", ".caf", ".amr", ".wma", ".ac3", ".ape", ".wv", ".tta", ".mpc", ".mka", ".weba", ".3ga",
}  # fmt: skip
TRANSPORT_STREAMS = frozenset({".ts", ".mts", ".m2ts"})  # the first two are endings of programs, too: the bytes decide
KINDS = {"video": VIDEO_ENDINGS, "image": IMAGE_ENDINGS, "audio": SOUND_ENDINGS}  # an item's path is that of its first kind
ENDINGS = {ending: kind for kind, endings in KINDS.items() for ending in endings}
MODALITIES = ("image", "video", "audio")  # in the order of an item's modalities

COLUMN_ENDINGS = frozenset({".parquet", ".arrow"})  # tables that are stored by columns, whose cells may be pictures
CAPTION_ENDINGS = (".vtt", ".srt")  # of what is said in a film, with times
MANIFEST_ENDINGS = {".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow"}
ARRAY_ENDINGS = {".npy", ".npz"}
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_ENDINGS = {".tar", ".zip", ".tgz", ".gz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar", ".cbz", ".cbr"}
MEDIA_THAT_IS_NOT_READ = {
    ".jxl", ".jxr", ".hdp", ".wdp", ".svg", ".svgz", ".eps", ".ai", ".wmf", ".emf", ".exr", ".hdr", ".xcf", ".kra", ".pdf",
    ".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".x3f", ".3fr", ".iiq", ".dcm", ".nii", ".fit", ".svs", ".czi", ".nd2", ".lif", ".insp", ".insv", ".swf", ".mid", ".midi",
    ".djvu", ".mod", ".xm", ".dsf", ".dff", ".ra", ".braw", ".r3d", ".h264", ".264", ".h265", ".265", ".hevc",
}  # fmt: skip


def ending_of(name: str) -> str:
    """The ending of a file's name in lower case, "" without one: `PurePosixPath(name).suffix.lower()`, ten times as fast.

    Example:
        >>> ending_of("cats/a.JPG"), ending_of("cats.png/a"), ending_of(".png")
        ('.jpg', '', '')
    """
    last = name[name.rfind("/") + 1 :]
    dot = last.rfind(".")
    return last[dot:].lower() if 0 < dot < len(last) - 1 else ""


def stem_of(name: str) -> str:
    """The name without its ending, with its folders.

    Example:
        >>> stem_of("cats/a.tar.JPG")
        'cats/a.tar'
    """
    return name[: len(name) - len(ending_of(name))]


def reason_not_read(ending: str) -> str:
    """Why a file of a medium's or an archive's ending is not read; "" for other files.

    Example:
        >>> reason_not_read(".jxl"), reason_not_read(".txt")
        ('files ending in .jxl are not read; convert them to .png, .mp4 or .wav', '')
    """
    if ending in HEIC_ENDINGS:
        return f"files ending in {ending} need an extra: pip install 'selflabel[heic]'"
    if ending == ".avif":
        return "files ending in .avif need a newer Pillow: pip install 'pillow>=11.3'"
    if ending in ARCHIVE_ENDINGS:
        return "an archive among other files is not read; give it as a source of its own, or unpack it"
    return (
        f"files ending in {ending} are not read; convert them to .png, .mp4 or .wav" if ending in MEDIA_THAT_IS_NOT_READ else ""
    )


def is_tar(name: str) -> bool:
    """Whether a name ends as that of a tar does, compressed or not."""
    return name.lower().endswith(TAR_ENDINGS)
