"""The page's JavaScript as text: modules that import downwards only, short constructors, one file for all actions."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import selflabel.gallery
from selflabel.gallery.server import NOT_MODULES

STATIC = Path(selflabel.gallery.__file__).parent / "static"
SCRIPTS = {file.name: file.read_text() for file in sorted(STATIC.glob("*.js"))}
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.M)
EXPORT = re.compile(r"^export (?:async )?(?:class|const|function|let) (\w+)", re.M)
MAX_CONSTRUCTOR_LINES = 40
MAX_FILE_LINES = 300


def imports_of(script):
    """Module -> the names that a script imports from it."""
    return {module: {name.strip() for name in names.split(",") if name.strip()} for names, module in IMPORT.findall(script)}


def exports_of(script):
    # "export const A = 1,\n  B = 2;" exports both.
    more = re.findall(r"^export const \w+ = [^;]*?,\s*\n\s+(\w+) = ", script, re.M)
    return {*EXPORT.findall(script), *more}


def constructor_lengths(script):
    """Lines of every constructor, which ends with a brace at its own indentation."""
    return [match[0].count("\n") + 1 for match in re.finditer(r"^( +)constructor\(.*?\n\1\}$", script, re.M | re.S)]


def test_every_import_statement_is_understood_by_these_tests():
    for name, script in SCRIPTS.items():
        assert len(re.findall(r"^\s*import\b", script, re.M)) == len(IMPORT.findall(script)), name
        assert "import(" not in script and not re.search(r"^export (default|\*|\{)", script, re.M), name


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: set(imports_of(script)) for name, script in SCRIPTS.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")
    assert set(order) == set(SCRIPTS) and order[-1] == "main.js"


def test_a_cycle_would_be_noticed():
    graph = {"a.js": set(imports_of('import { b } from "./b.js";')), "b.js": set(imports_of('import { a } from "./a.js";'))}
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_a_module_imports_only_what_the_other_exports():
    for name, script in SCRIPTS.items():
        for module, names in imports_of(script).items():
            assert names <= exports_of(SCRIPTS[module]), f"{name} imports {names - exports_of(SCRIPTS[module])} from {module}"


def test_every_import_is_used_and_every_export_is_imported_somewhere():
    imported = {(module, name) for script in SCRIPTS.values() for module, names in imports_of(script).items() for name in names}
    for file, script in SCRIPTS.items():
        rest = IMPORT.sub("", script)
        unused = {name for names in imports_of(script).values() for name in names if not re.search(rf"\b{name}\b", rest)}
        assert not unused, f"{file} does not use {unused}"
        idle = {name for name in exports_of(script) if (file, name) not in imported}
        assert not idle, f"nobody imports {idle} from {file}"


def test_every_module_is_reached_from_the_main_one():
    reached, waiting = set(), ["main.js"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += set(imports_of(SCRIPTS[name])) - reached
    assert set(SCRIPTS) - reached == {f"{stem}.js" for stem in NOT_MODULES} - {"main.js"}


def test_no_constructor_is_longer_than_forty_lines():
    for name, script in SCRIPTS.items():
        lengths = constructor_lengths(script)
        assert len(lengths) == len(re.findall(r"\bconstructor\(", script)), name
        assert all(n <= MAX_CONSTRUCTOR_LINES for n in lengths), (name, lengths)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_file_is_short_and_says_at_its_top_what_it_is(name):
    assert SCRIPTS[name].startswith("// ") and SCRIPTS[name].count("\n") <= MAX_FILE_LINES


def test_only_the_actions_change_labels():
    for path in ("/api/edits", "/api/likely", "/api/exports"):
        assert [name for name, script in SCRIPTS.items() if f'"{path}"' in script] == ["actions.js"], path
    actions = exports_of(SCRIPTS["actions.js"])
    assert {"nameCluster", "mergeClusters", "splitCluster", "moveSelected", "rejectSelected", "restoreSelected"} <= actions
    assert {"undo", "redo", "exportLabels"} <= actions
