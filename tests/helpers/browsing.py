"""What the tests that drive a browser have in common."""

from __future__ import annotations

from typing import Any

PATIENCE = 300_000  # milliseconds, for a busy machine


def wait_until(frame: Any, condition: str) -> None:
    """Wait until something holds in a page, whose policy forbids Playwright's own way."""
    script = f"""async () => {{
      for (let turn = 0; turn < 6000; turn++) {{
        if ({condition}) return true;
        await new Promise((done) => setTimeout(done, 20));
      }}
      return false;
    }}"""
    assert frame.evaluate(script), condition
