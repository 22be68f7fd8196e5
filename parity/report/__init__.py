"""Results as people and machines read them: words, console, JSON, CSV, Markdown, JUnit, HTML."""
