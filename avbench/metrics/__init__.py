"""Metrics: pure functions on arrays, each with its conventions, units and source.

Modules
-------
- `catalogue`: name, version, unit and direction of every metric, for tables and leaderboards.
- `offset`, `per_video`: how well predicted offsets agree with true ones, in all and by video.
- `perceptual`: whether a viewer would notice what is left.
- `confidence`: whether a method knows when it is right.
- `alignment`: shift errors frame by frame, and what a retiming does to a picture.
- `verification`, `asd`: telling two kinds apart by a score; who of several people talks.
- `retrieval`, `pairwise`: finding the right one of many, and of two.
- `lse`: LSE-D and LSE-C.
- `mouth`, `mcd`: how alike two mouths move, and how alike two utterances sound.

What holds for all: NaN stands for no answer; what is undefined is NaN, never 0; the order of the
records never matters; fractions are fractions, and only tables print percentages.
"""
