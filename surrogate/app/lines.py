"""Lines for the user: what went wrong, and what there is to know."""

from __future__ import annotations

import html

import gradio as gr


def problem_line(error: Exception) -> gr.HTML:
    """What a component shows of an error."""
    line = " ".join(str(error).split()).removesuffix("; see --list-tracks")
    return gr.HTML(f'<p role="alert">{html.escape(line)}</p>', visible=True)


def remark_lines(lines: list[str]) -> gr.HTML:
    """What a component shows of remarks."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return gr.HTML(f"<ul>{items}</ul>", visible=bool(lines))
