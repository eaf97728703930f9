"""Asking people which videos are real: what ``avbench study`` does.

- `design`: who sees what, balanced and blind;
- `pack`: the videos under meaningless names and a page that plays them without a server;
- `answers`: what they said, with intervals.

References
----------
Y. Shalev and L. Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, section
6.4 and Table 7.
"""
