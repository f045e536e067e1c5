"""The page: theme, header, chat, and the tabs that others hand in. Everything that knows Gradio's widgets is here."""
