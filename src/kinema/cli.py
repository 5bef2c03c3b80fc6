"""The command: each verb is a typed function of `kinema.verbs`; here its words are parsed and its errors printed."""

import inspect
import re
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from kinema.errors import ConfigError, KinemaError

SETTING = re.compile(r"--((?:data|model|training)\.\w+)(?:=(.*))?$", re.DOTALL)


@dataclass(frozen=True)
class Verb:
    """Where a verb's function lives, and the words that its parameters have on the command line."""

    about: str
    """One line for the overview, which must not wait for the verbs to be imported."""
    module: str
    function: str
    renamed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameters whose option is not simply their name."""

    def load(self) -> Callable[..., Any]:
        return getattr(import_module(f"kinema.verbs.{self.module}"), self.function)


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "make sprites, train a small model, swap motions, report: two minutes, nothing needed", "demo", "demo"
    ),
    "recipes": Verb("list the shipped recipes and what each stands for", "files", "recipes"),
    "train": Verb("train a model as a recipe says, into a run directory", "train", "train", {"from_run": ("--from",)}),
    "evaluate": Verb("measure a run on the test split of its data", "train", "evaluate"),
    "reproduce": Verb("train and measure every row of a published table", "reproduce", "reproduce"),
    "swap": Verb("put the motion of one clip on the content of another, and back", "apply", "swap"),
    "animate": Verb("let one picture do an action, at any tempo, backwards, for ever", "apply", "animate"),
    "compose": Verb(
        "any character on any background with any movement; movements to print, edit and keep",
        "compose",
        "compose",
        {
            "scale_by": ("--scale-by",),
            "about_character": ("--about-character",),
            "save_transformation": ("--save-transformation",),
            "show": ("--print",),
        },
    ),
    "synthesize": Verb("let a body walk and run along a drawn path: BVH, GLB, GIF, ...", "synthesize", "synthesize"),
    "sample": Verb("draw new clips from a model", "apply", "sample", {"n": ("-n", "--n")}),
    "convert": Verb("convert a clip or a motion to any other format that can hold it", "files", "convert"),
    "data list": Verb("list the sources of clips", "files", "data_list"),
    "data make": Verb("write some clips of a source into a folder", "files", "data_make", {"n": ("-n", "--n")}),
    "data check": Verb("read every clip of a folder and say what is wrong", "files", "data_check"),
    "info": Verb("say what a run or a clip is", "files", "info"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command: exit 0; 2 and one line on stderr for a user's mistake."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        name, words = split_verb(words)
        result = call(name, words)
    except KinemaError as error:
        print(f"kinema: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("kinema: stopped; a training run goes on with --resume", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        # A full disk or a forbidden folder is the user's to mend as well.
        parts = (error.filename, error.strerror or error)
        print(f"kinema: {': '.join(str(part) for part in parts if part)}", file=sys.stderr)
        sys.exit(2)
    if name == "data check" and result:
        sys.exit(1)


def split_verb(words: list[str]) -> tuple[str, list[str]]:
    """The verb (of one or two words) and the words after it; prints the overview where help is asked for."""
    if not words or words[0] in ("-h", "--help", "help") or words in (["data"], ["data", "--help"]):
        print(overview())
        sys.exit(0)
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("kinema"))
        sys.exit(0)
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in VERBS:
            return name, words[count:]
    raise KinemaError(f"{words[0]}: no such verb; known: {', '.join(VERBS)}")


def call(name: str, words: list[str]) -> Any:
    """Parse the words of a verb by its function's signature, and call it."""
    verb = VERBS[name]
    function = verb.load()
    signature = inspect.signature(function)
    settings, words = take_settings(words) if "options" in signature.parameters else ({}, words)
    values = parse(parser_of(name, verb, function), words)
    if settings:
        values["options"] = settings
    positional = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    first = [values.pop(key) for key in positional]
    return function(*first, **values)


def parse(parser: ArgumentParser, words: list[str]) -> dict[str, Any]:
    """The values of a verb's parameters. Raises ConfigError, in plain words, for one of the wrong type."""
    try:
        return parser.parse_args(words).as_dict()
    except ArgumentError as error:
        from kinema.training.recipe import wrong_value

        raise ConfigError(f"{parser.prog.removeprefix('kinema ')}: {wrong_value(error, '--')}") from error


def take_settings(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The ``--section.key value`` pairs among the words, and the other words."""
    settings: dict[str, str] = {}
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        match = SETTING.match(word)
        if match is None:
            others.append(word)
            continue
        value = match[2] if match[2] is not None else next(rest, None)
        if value is None:
            raise KinemaError(f"{word}: a value is needed after it")
        settings[match[1]] = value
    return settings, others


def parser_of(name: str, verb: Verb, function: Callable[..., Any]) -> ArgumentParser:
    """The verb's parser: positional parameters are positional, the others are options; help from the docstring."""
    summary, described = documented(function)
    parser = ArgumentParser(
        prog=f"kinema {name}", description=summary, exit_on_error=False, formatter_class=DefaultHelpFormatter
    )
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "options":
            continue
        about = described[parameter.name]
        kind: Any = parameter.annotation
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            parser.add_argument(parameter.name, type=kind, help=about)
            continue
        flags = verb.renamed.get(parameter.name, (f"--{parameter.name}",))
        if kind is bool:
            parser.add_argument(*flags, dest=parameter.name, action="store_true", help=about)
        elif parameter.default is parameter.empty:
            parser.add_argument(*flags, dest=parameter.name, type=kind, required=True, help=about)
        else:
            parser.add_argument(*flags, dest=parameter.name, type=kind, default=parameter.default, help=about)
    return parser


def documented(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The text of a docstring, and what its Args section says of each parameter."""
    text, _, args = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")
    described = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", args, re.MULTILINE))
    return text.strip(), {name: " ".join(about.split()) for name, about in described.items()}


def overview() -> str:
    """The verbs with a line for each."""
    lines = [f"  {name:<12} {verb.about}" for name, verb in VERBS.items()]
    return "usage: kinema VERB ...\n\n" + "\n".join(lines) + "\n\n`kinema VERB --help` says it all."
