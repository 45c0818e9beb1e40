"""A workflow file as the page sends it: the graph in API format."""

from tests.support.workflows import PAGE_ONLY

SIMPLE = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
"""Types of inputs that are widgets."""


def nodes_of(workflow):
    """The nodes that the host knows."""
    return [node for node in workflow["nodes"] if node["type"] != PAGE_ONLY]


def api_graph(workflow, infos):
    """The workflow in API format."""
    links = {link: [str(source), slot] for link, source, slot, *_ in workflow["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": api_inputs(node, infos[node["type"]], links)}
        for node in nodes_of(workflow)
    }


def slots(group):
    """The inputs of a node as the host describes them: name → (type, options)."""
    return {**group.get("required", {}), **group.get("optional", {})}


def api_inputs(node, info, links):
    """The inputs of a node of the UI's format as the front end hands them to the host.

    Fails if a value is left without its widget.
    """
    values = iter(node["widgets_values"])
    inputs = dict(widget_values(slots(info["input"]), values))
    assert not list(values), f"{node['type']} has fewer widgets than values"
    return inputs | {slot["name"]: links[slot["link"]] for slot in node["inputs"] if slot["link"] in links}


def widget_values(group, values, prefix=""):
    """Pairs of name and value, in the order in which the front end draws the widgets."""
    for name, (kind, *more) in group.items():
        options = more[0] if more else {}
        if not (isinstance(kind, list) or kind in SIMPLE or kind == "COMFY_DYNAMICCOMBO_V3"):
            continue
        value = next(values, None)
        if value is None:
            continue  # a widget of a newer host: the front end gives it its default
        yield prefix + name, value
        uploads = options.get("image_upload", False) + options.get("video_upload", False)
        extra = uploads + 2 * options.get("audio_upload", False)
        changes = name == "seed" and options.get("control_after_generate", True)
        for _ in range(extra + changes):  # the upload button, the player, "control after generate"
            next(values)
        if kind == "COMFY_DYNAMICCOMBO_V3":
            chosen = next(option for option in options["options"] if option["key"] == value)
            yield from widget_values(slots(chosen["inputs"]), values, f"{prefix}{name}.")
