"""`python -m cluster COMMAND`: the cluster commands without the rest of the command line."""

import typer

from cluster.commands import component_logs, register

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
register(app)
app.command("logs")(component_logs)

if __name__ == "__main__":
    app()
