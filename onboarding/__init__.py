"""Everything a visitor meets: routing, tool choice, system prompts, tours, tabs, feedback and metrics."""
