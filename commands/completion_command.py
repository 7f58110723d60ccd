"""``edit-assumption completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "edit-assumption"


def add_completion(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "completion", help="a script by which a shell completes commands and options",
        epilog='example: eval "$(edit-assumption completion bash)"',
    )  # fmt: skip
    parser.add_argument("shell", choices=_SHELLS)


def completion(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script.

    Args:
        shell: one of bash, zsh, fish.
        parser: of the whole command line.
    """
    words = words_of(parser)
    if shell == "fish":
        return _fish(words)
    bash = _bash(words)
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash}" if shell == "zsh" else bash


def words_of(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Command to what may follow it: its options, and choices where it has them."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {name: _words(command) for name, command in commands.choices.items()}


def _words(parser: argparse.ArgumentParser) -> list[str]:
    words = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    return words + [str(choice) for action in parser._actions if not action.option_strings for choice in action.choices or ()]


def _bash(words: Mapping[str, Sequence[str]]) -> str:
    cases = "\n".join(f"        {name}) words='{' '.join(own)}' ;;" for name, own in words.items())
    return f"""_edit_assumption() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    [ "$COMP_CWORD" -eq 1 ] && words='{" ".join(words)}'
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _edit_assumption {_PROGRAM}"""


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c {_PROGRAM} -n __fish_use_subcommand -f -a '{' '.join(words)}'"]
    for name, own in words.items():
        condition = f"__fish_seen_subcommand_from {name}"
        lines += [f"complete -c {_PROGRAM} -n '{condition}' -l {word[2:]}" for word in own if word.startswith("--")]
        if choices := [word for word in own if not word.startswith("--")]:
            lines.append(f"complete -c {_PROGRAM} -n '{condition}' -f -a '{' '.join(choices)}'")
    return "\n".join(lines)
