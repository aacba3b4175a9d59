"""The command line: the commands that the Makefile calls, under the headings of `make help`."""

import typer

from . import command_line
from .command_line.deployment import deployment
from .command_line.development import development
from .command_line.inspection import inspection
from .command_line.monitoring import monitoring
from .command_line.promotion import promotion
from .command_line.scoring import scoring
from .command_line.training import training

GROUPS = {
    "Train": training,
    "Promote": promotion,
    "Serve": deployment,
    "Score": scoring,
    "Monitor": monitoring,
    "Inspect": inspection,
    "Develop": development,
}

app = typer.Typer(
    help=(
        "Train, promote, serve and deploy this project's model.\n\n"
        "Start with [bold]make train[/], then [bold]make deploy[/]. "
        "Settings are environment variables or lines of .env; docs/settings.md lists them."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for heading, group in GROUPS.items():
    for command in group.registered_commands:
        command.rich_help_panel = heading
        app.registered_commands.append(command)


def main() -> None:
    """Run a command; a `UserError` is printed without a traceback, and the exit code is 1."""
    command_line.run(app)


if __name__ == "__main__":
    main()
