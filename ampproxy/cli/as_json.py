"""``--json`` of verbs that do something: whether it was done, and what they print otherwise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import wraps
from typing import Any

import click


def reports_json(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--json``: it then prints one object, also where it fails. ``ok`` is whether
    it was done, ``status`` the exit status, ``lines`` what it prints otherwise, ``error`` why it failed.

    It does not ask: what asks otherwise needs ``--yes`` with it.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print JSON: whether it was done, and each line.")
    @wraps(callback)
    def with_json(*arguments: Any, as_json: bool, **options: Any) -> Any:
        if not as_json:
            return callback(*arguments, **options)
        if options.get("yes") is False and not options.get("dry_run"):
            raise click.UsageError("--json does not ask: add --yes")
        printed, status, error = io.StringIO(), 0, ""
        with redirect_stdout(printed):
            try:
                callback(*arguments, **options)
            except click.UsageError:
                raise
            except click.ClickException as failure:
                status, error = failure.exit_code, failure.message
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
        lines = [line for line in click.unstyle(printed.getvalue()).splitlines() if line]
        about = {"ok": not status, "status": status, "lines": lines, **({"error": error} if error else {})}
        click.echo(json.dumps(about, indent=2))
        if status:
            raise SystemExit(status)
        return None

    return with_json
