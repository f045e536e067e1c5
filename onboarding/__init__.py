"""What a visitor meets: routing, tool choice, briefs, tours, tabs, feedback and metrics."""
