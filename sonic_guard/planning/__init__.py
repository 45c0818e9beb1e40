"""From requested settings and a card to settings that fit: the planner, the capacity check and advice."""
