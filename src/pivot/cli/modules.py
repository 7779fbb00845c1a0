"""A group of commands with one subgroup per module of the chain; the chain's registry is loaded when one is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

MODULES = "Modules"
SHORT_HELP = 80
"""Characters of a command's help in a list."""


class ModuleGroup(TyperGroup, ABC):
    """Commands of its own, and the subgroups that `found` names. Derived classes say what is found."""

    @abstractmethod
    def found(self) -> Mapping[str, Callable[[], typer.Typer]]:
        """Name of a module to what makes its group."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self.found()]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the own commands, and the modules by name alone: what they can do is for their own help to say."""
        own = [(name, self.commands[name].get_short_help_str(SHORT_HELP)) for name in super().list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(own)
        with formatter.section(MODULES):
            formatter.write_text(", ".join(self.found()))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, None for an unknown one."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        make = self.found().get(cmd_name)
        if make is None:
            return super().get_command(ctx, cmd_name)
        holder = typer.Typer(add_completion=False, rich_markup_mode=None)
        holder.add_typer(make(), name=cmd_name)
        return typer.main.get_group(holder).commands[cmd_name]
