"""Directives whose text is made from the code: configurations, the report's schema, SQL, public names.

What can be read off the code stands there alone, and the site follows it. Each function gives Markdown; a key without a
description, or an example that its configuration refuses, is an error, and so stops the build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import loss_logging
from loss_logging.errors import ConfigError
from loss_logging.support.names import load

ROOT = Path(__file__).resolve().parents[1]
SQL = ROOT / "loss_logging" / "statistics" / "sql"

REQUIRED = {
    "job_name": "cats",
    "save_root": "runs/cats",
    "data": "photos",
    "pipeline": "models/sdxl",
}
"""Without these no configuration is made; they are their own examples."""

EXAMPLES: dict[str, Any] = {
    "loggers": ["tensorboard", {"name": "wandb", "project": "cats"}],
    "save_root": "s3://bucket/runs/cats",
    "profiles": {"anime": "tags", "me": "instance"},
    "severities": {"short": "error"},
    "own": ["my_rules:no_names"],
    "disabled": ["short"],
    "tokenizer": "models/t5/tokenizer.json",
    "triggers": {"me": "ohwx man"},
    "default_trigger": "ohwx",
    "ignore": ["rule:short dataset:icons"],
    "load": "my_package.pictures:load",
    "images": "photos",
    "spool": "/scratch/spool",
    "exclude": "exclude.txt",
    "prefix": "train/losses",
    "device": "cuda:1",
    "library": "diffusers",
    "engine_options": {"actors": 8},
    "cache": "~/.cache/encodings",
    "cache_gigabytes": 50,
    "timestep_scale": 1000,
}
"""Where neither the type nor the default gives an example, by the last part of the key."""


class Key(msgspec.Struct):
    """A key of a configuration, as the reference shows it."""

    name: str
    hint: Any
    default: Any
    text: str
    group: type[msgspec.Struct] | None


def keys(config: type[msgspec.Struct]) -> Iterator[Key]:
    """Every key of a configuration, in its order."""
    described = descriptions(config)
    hints = get_type_hints(config, include_extras=True)
    for field in msgspec.structs.fields(config):
        default = ... if field.required else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if field.name not in described:
            raise ValueError(f"the docstring of {config.__name__} does not describe {field.name}")
        yield Key(field.name, hints[field.name], default, described[field.name], group_of(hints[field.name]))


def group_of(hint: Any) -> type[msgspec.Struct] | None:
    """The configuration that a key holds, where it holds one."""
    parts = [part for part in (hint, *get_args(hint)) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
    return parts[0] if parts else None


def descriptions(config: type) -> dict[str, str]:
    """What the section ``Args`` of a docstring says of each name, also of the classes that it derives from."""
    found: dict[str, str] = {}
    for parent in reversed(config.__mro__):
        section = re.search(r"^    Args:\n(.*?)(?=^ {0,4}\S|\Z)", (parent.__doc__ or ""), re.DOTALL | re.MULTILINE)
        for name, text in re.findall(r"^ {8}(\w+): (.*(?:\n {9,}.*)*)", section[1] if section else "", re.MULTILINE):
            found[name] = markdown(" ".join(text.split()))
    return found


def markdown(text: str) -> str:
    """The mark-up of a docstring as Markdown, in a cell of a table."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?([\w.]+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", "\\|")


def type_name(hint: Any) -> str:
    """A type in the words of a configuration file."""
    inside = [type_name(part) for part in get_args(hint)]
    if get_origin(hint) is Annotated:
        return inside[0]
    if get_origin(hint) is Literal:
        return "text"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(inside))
    if get_origin(hint) in (list, tuple):
        return "list"
    if get_origin(hint) is dict:
        return "mapping"
    if group_of(hint):
        return "mapping"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null", Path: "text"}
    return names.get(hint, "any")


def allowed(hint: Any) -> str:
    """What a value may be, where its type does not say all."""
    if get_origin(hint) is Annotated:
        return markdown(str(get_args(hint)[1].description or ""))
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    inside = [text for part in get_args(hint) if part is not Ellipsis and (text := allowed(part))]
    return "; ".join(dict.fromkeys(inside))


def candidates(key: Key) -> Iterator[Any]:
    """Values that may serve as an example, other than the default where there is one."""
    if key.name in EXAMPLES:
        yield EXAMPLES[key.name]
    if key.name in REQUIRED:
        yield REQUIRED[key.name]
    if type_name(key.hint) == "true or false":
        yield not key.default
    choices = re.findall(r"'([^']+)'", str(key.hint)) if "Literal[" in str(key.hint) else []
    for choice in [*choices, *re.findall(r'`"(.*?)"`', key.text)]:
        if choice != key.default:
            yield from ([choice], choice) if "list" in type_name(key.hint) else (choice,)
    if isinstance(key.default, (int, float)) and not isinstance(key.default, bool):
        yield from (key.default * 2, key.default / 2) if key.default else ()
    yield from (100, 2, 5.0, 0.5, "text")


def example(config: type[msgspec.Struct], key: Key) -> str:
    """A line of YAML that the configuration takes."""
    needed = {name: REQUIRED[name] for name in (f.name for f in msgspec.structs.fields(config)) if name in REQUIRED}
    for value in candidates(key):
        text = yaml.safe_dump({key.name: value}, default_flow_style=True, width=200, sort_keys=False).strip()[1:-1]
        try:
            build(config, needed | yaml.safe_load(text))
        except (ConfigError, msgspec.ValidationError, TypeError, ValueError):
            continue
        return text
    raise ValueError(f"{config.__name__}.{key.name} has no example: add one to EXAMPLES in docs/from_code.py")


def build(config: type[msgspec.Struct], given: dict[str, Any]) -> msgspec.Struct:
    """The configuration, made as from a file."""
    if hasattr(config, "from_dict"):
        made: msgspec.Struct = config.from_dict(given)
        return made
    return msgspec.convert(given, config)


def configuration(name: str) -> str:
    """A table of every key of a class, then of those inside it. Classes that are named after it are shown elsewhere."""
    config, *elsewhere = (load(part, "configuration", "module:Class") for part in name.split())
    return f"### {config.__name__}\n\n{section(config, '', elsewhere)}"


def section(config: type[msgspec.Struct], path: str, elsewhere: list[Any]) -> str:
    lines = [summary(config), "", "| key | type, default | what it says, and an example |", "|---|---|---|"]
    groups = []
    for key in keys(config):
        full = f"{path}{key.name}"
        if key.group:
            groups.append((full, key.group))
            where = "above" if key.group in elsewhere else "below"
            lines.append(f"| `{full}` | mapping | {key.text} Its keys are {where}. |")
            continue
        what = f"{key.text} Allowed: {limits}." if (limits := allowed(key.hint)) else key.text
        shown = "required" if key.default is ... else f"`{yaml_value(key.default)}`"
        line = example(config, key).replace("|", "\\|")
        lines.append(f"| `{full}` | {type_name(key.hint)}, {shown} | {what} `{line}` |")
    for full, group in groups:
        if group not in elsewhere:
            lines += ["", f"### `{full}`", "", section(group, f"{full}.", elsewhere)]
    return "\n".join(lines)


def summary(config: type) -> str:
    """The first paragraph of a docstring."""
    return markdown(" ".join((config.__doc__ or "").strip().split("\n\n")[0].split()))


def yaml_value(value: Any) -> str:
    return str(yaml.safe_dump(msgspec.to_builtins(value), default_flow_style=True).removesuffix("...\n").strip())


def schema(name: str) -> str:
    """Every object of a JSON schema, and every field of it."""
    found = json.loads((ROOT / name).read_text("utf-8"))
    parts = []
    for title, entry in {"The report": found, **found["$defs"]}.items():
        text = re.sub(r"``(\w+)``", r"`\1`", entry.get("description", "")).replace("``", "`")
        parts += [f"### {title}", "", text, "", "| field | type | default |", "|---|---|---|"]
        for field, of in entry["properties"].items():
            default = f"`{json.dumps(of['default'])}`" if "default" in of else ""
            parts.append(f"| `{field}` | {json_type(of)} | {default} |")
        parts.append("")
    return "\n".join(parts)


def json_type(entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        title = entry["$ref"].rpartition("/")[2]
        return f"[{title}](#{title.lower()})"
    if "anyOf" in entry:
        return " or ".join(map(json_type, entry["anyOf"]))
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    if entry.get("type") == "array":
        return f"list of {json_type(entry['items'])}" if entry.get("items") else "list"
    inside = entry.get("additionalProperties")
    return f"{entry.get('type', 'any')}{f' of name to {json_type(inside)}' if isinstance(inside, dict) else ''}"


def sql(names: str) -> str:
    """The files of some figures, each whole; ``*`` stands for those that the page does not name."""
    page = (ROOT / "docs" / "figures.md").read_text("utf-8")
    named = set(" ".join(re.findall(r"```\{sql\} (.*)", page)).split())
    wanted = names.split() if names != "*" else sorted({file.stem for file in SQL.glob("*.sql")} - named)
    files = {name: (SQL / f"{name}.sql").read_text("utf-8").strip() for name in wanted}
    return "\n".join(
        f"`{name}.sql`\n\n````{{code-block}} postgresql\n:force:\n\n{text}\n````\n" for name, text in files.items()
    )


def public_names(_: str) -> str:
    """Every public name, by its docstring."""
    parts = []
    for name in loss_logging.__all__:
        kind = "autoclass" if isinstance(getattr(loss_logging, name), type) else "autofunction"
        members = "\n   :members:" if kind == "autoclass" else ""
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. {kind}:: loss_logging.{name}{members}\n```\n")
    return "\n".join(parts)


def directive(make: Callable[[str], str]) -> type[SphinxDirective]:
    """A directive with one argument, whose text is what ``make`` gives."""

    class Made(SphinxDirective):
        required_arguments, optional_arguments, final_argument_whitespace = 0, 1, True

        def run(self) -> list[nodes.Node]:
            text = make(self.arguments[0] if self.arguments else "")
            return self.parse_text_to_nodes(text, allow_section_headings=True)

    return Made


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    for make in (configuration, schema, sql, public_names):
        app.add_directive(make.__name__, directive(make))
    return {"parallel_read_safe": True}
