"""Compares what came over the wire with botocore's output shapes, strictly: a member that the model does not know is
a finding, and so is a wrong type, a value outside of an enum, or a missing member that the model requires."""

import json
import re
import xml.etree.ElementTree as ET

SCALARS = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


def check(shape, protocol, operation, body):
    """Findings about a body, as texts."""
    findings = []
    if protocol in ("rest-json", "json"):
        if shape is None:
            return findings
        value = json.loads(body or b"{}")
        _json(shape, value, operation, findings)
    else:
        root = ET.fromstring(body)
        root = _strip(root)
        _root(shape, protocol, operation, root, findings)
    return findings


def members(shape, protocol, body):
    """The names of members that a JSON body has, as dotted paths without list positions and map keys."""
    paths = set()
    if protocol in ("rest-json", "json") and shape is not None:
        _paths(shape, json.loads(body or b"{}"), "", paths)
    return paths


def _paths(shape, value, at, paths):
    if value is None:
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in shape.members.items():
            wire = member.serialization.get("name", name)
            if value.get(wire) is not None:
                path = f"{at}.{wire}" if at else wire
                paths.add(path)
                _paths(member, value[wire], path, paths)
    elif shape.type_name == "list" and isinstance(value, list):
        for item in value:
            _paths(shape.member, item, f"{at}[]", paths)


def _json(shape, value, at, findings):
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            findings.append(f"{at}: {value!r} is no structure")
            return
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            if name not in known:
                findings.append(f"{at}.{name}: the model has no such member")
            elif inner is None:
                findings.append(f"{at}.{name}: null on the wire")
            else:
                _json(known[name], inner, f"{at}.{name}", findings)
        for name in shape.required_members:
            if shape.members[name].serialization.get("name", name) not in value:
                findings.append(f"{at}.{name}: required and missing")
    elif kind == "list":
        if not isinstance(value, list):
            findings.append(f"{at}: {value!r} is no list")
            return
        for index, inner in enumerate(value):
            _json(shape.member, inner, f"{at}[{index}]", findings)
    elif kind == "map":
        if not isinstance(value, dict):
            findings.append(f"{at}: {value!r} is no map")
            return
        for name, inner in value.items():
            _json(shape.key, name, f"{at} key", findings)
            _json(shape.value, inner, f"{at}[{name}]", findings)
    else:
        _scalar(shape, value, at, findings)


def _scalar(shape, value, at, findings):
    wanted = SCALARS.get(shape.type_name)
    if wanted is None:
        findings.append(f"{at}: the type {shape.type_name} is not expected here")
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        findings.append(f"{at}: {value!r} is no {shape.type_name}")
        return
    if shape.type_name == "string":
        enum = shape.metadata.get("enum")
        if enum and value not in enum:
            findings.append(f"{at}: {value!r} is not one of {', '.join(enum)}")
        pattern = shape.metadata.get("pattern")
        if pattern and not re.search(pattern, value):
            findings.append(f"{at}: {value!r} does not match {pattern}")
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size = len(value) if isinstance(value, str) else value
    if low is not None and size < low or high is not None and size > high:
        findings.append(f"{at}: {value!r} is outside of {low} to {high}")


def _strip(element):
    for node in element.iter():
        node.tag = node.tag.rpartition("}")[2]
    return element


def _root(shape, protocol, operation, root, findings):
    if root.tag != f"{operation}Response":
        findings.append(f"{operation}: the answer is named {root.tag}")
    if protocol == "ec2":
        children = [child for child in root if child.tag != "requestId"]
    else:
        wrapper = shape.serialization.get("resultWrapper", f"{operation}Result") if shape else None
        result = root.find(wrapper) if wrapper else None
        if result is None or root.find("ResponseMetadata/RequestId") is None:
            findings.append(f"{operation}: no {wrapper} or no request id")
            return
        children = list(result)
    _xml_structure(shape, protocol, children, operation, findings)


def _xml_structure(shape, protocol, children, at, findings):
    known = {}
    for name, member in shape.members.items():
        known[member.serialization.get("name", name)] = member
    for child in children:
        member = known.get(child.tag)
        if member is None:
            findings.append(f"{at}.{child.tag}: the model has no such member")
        else:
            _xml(member, protocol, child, f"{at}.{child.tag}", findings)


def _xml(shape, protocol, element, at, findings):
    kind = shape.type_name
    if kind == "structure":
        _xml_structure(shape, protocol, list(element), at, findings)
    elif kind == "list":
        item = shape.member.serialization.get("name", "member")
        for index, child in enumerate(element):
            if child.tag != item:
                findings.append(f"{at}: an item is named {child.tag}, not {item}")
            else:
                _xml(shape.member, protocol, child, f"{at}[{index}]", findings)
    else:
        text = element.text or ""
        try:
            value = {
                "integer": int,
                "long": int,
                "boolean": lambda t: {"true": True, "false": False}[t],
                "timestamp": lambda t: 0 if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", t) else t,
            }.get(kind, str)(text)
        except (ValueError, KeyError):
            value = None
        _scalar(shape, value, at, findings)
