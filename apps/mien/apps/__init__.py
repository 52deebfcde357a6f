"""The `mien` command, one verb a file, and the Gradio demo; `mien.pipeline` is it in Python."""
