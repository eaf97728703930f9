"""Videos to shards: the three phases of ``avbench build-shards``, each reading only files.

1. facetracks: one unit per video, from decode to face crops (`pipelines.facetracks`); several for
   a long one (`pipelines.long`).
2. sync: score every clip, decide which to keep (`pipelines.sync`).
3. pack: choose splits, draw faults, write shards in key order (`pipelines.pack`).

Phases leave their results under ``OUT/work`` by the digest of what they depend on, so a run that
was killed goes on where it stopped, and changed settings or files redo only what they touch.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from avbench import shards
from avbench.data import JSON
from avbench.errors import UsageError

from . import card, duplicates, files, ledger, pack, prints, remote, splits, sync, synctable, units
from .adapters import corpus_unit
from .duplicates import Duplicate
from .engine import Engine, open_engine
from .facetracks import process_video
from .joining import done_parts
from .ledger import FAILED, Row
from .long import share
from .options import BuildOptions
from .parts import PARTS_VERSION, may_be_long, plan_unit
from .phases import Phases, locked
from .preparing import prepare_videos
from .report import BuildReport
from .scoring import score_videos
from .units import Process, Source
from .videos import Video


def build(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    plan: bool = False,
    process: Process = process_video,
    **options: Any,
) -> BuildReport:
    """Build a shard set from video files and folders.

    Parameters
    ----------
    sources
        Files and folders, or addresses that fsspec knows; they are only read.
    out
        Where the set goes, with everything needed to go on after an interruption; of an address,
        that stays in a local folder, and the set is sent when it is complete.
    plan
        Only say what would be done.
    process
        The facetrack step.
    options
        Fields of `BuildOptions`.

    Returns
    -------
    BuildReport
        One row per input file, and the shards.

    Raises
    ------
    UsageError
        If an option or source makes no sense, or another build is writing to ``out``.
    """
    place = remote.local_place(out).expanduser().absolute()
    local = remote.local_sources(sources, place / "work" / "sources")
    builder = _Builder(local, place, BuildOptions(**options), process)
    if plan:
        return BuildReport(place, [], [], planned=builder.plan())
    try:
        builder.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {out} ({error.strerror}); choose another --out"
        ) from error
    with locked(builder.work / "lock"):
        report = builder.run()
        if remote.is_url(out):
            remote.send(place, str(out))
            report = replace(report, sent=str(out))
    return report


_NAMED = 20
"""Most files that a plan names."""
_WRITERS = ("pandas", "webdataset")
"""What takes longest to load of what writes a set."""


class _Builder:
    """The state of one build."""

    def __init__(
        self, sources: Sequence[Path], out: Path, options: BuildOptions, process: Process
    ) -> None:
        self.sources, self.out, self.options = sources, out, options
        self.work = out / "work"
        self.phases = Phases(self.work, options.retries)
        self.settings = options.facetrack_settings()
        self.sync = options.sync_settings()
        self.distortion = options.distortion()
        self.corpus = options.corpus(sources)
        self.rule: splits.Rule = self.corpus or options.split_rule()
        self.process = process
        self.divides = process is process_video and not self.corpus
        """Whether long videos are shared by several workers."""
        self.skipped: Counter[str] = Counter()
        """Files in the sources that are no videos by their name, by reason."""
        self.calibration: dict[str, JSON] = {}
        """What the sync of the set was judged by."""
        self.copies: list[Duplicate] = []
        """Near-duplicates across splits."""
        self.network = (
            None if self.sync.checkpoint is None else str(self.sync.checkpoint.absolute())
        )
        """Path of the checkpoint that scores; the shipped one's where None."""
        self.checkpoint = (
            "" if self.sync.mode == "off" else sync.checkpoint_digest(self.sync.checkpoint)
        )

    def run(self) -> BuildReport:
        """Go through the phases."""
        for folder in ("facetracks", "parts", "sync", "prints", "pack"):
            units.sweep(self.work / folder)
        with open_engine(self.options.engine_settings(), self.work / "stacks") as engine:
            # Files that were never hashed mean work, unless the set is there: they may be copies.
            fresh = not (self.out / shards.MANIFEST).exists()
            # The videos of a corpus may come with crops, for which no detector is needed.
            load = None if self.corpus else partial(units.warm_up, self.process, self.settings)
            videos = self._inputs(partial(engine.begin, load) if fresh else None)
            done = self._finished(videos)
            if done is not None:
                return done
            active = [video for video in videos if not video.row.status]
            self._facetracks(engine, active)
            self._score(engine, active)
            self._compare(engine, active)
            if self.options.engine != "local":
                # The set is written next; this process only waits until then. A unit that runs in
                # it could meet PyTorch half loaded.
                threading.Thread(target=lambda: [*map(import_module, _WRITERS)]).start()
            prepare_videos(
                self.phases, engine, self.work, active, self.options.seed, self.distortion
            )
        rows = [video.row for video in videos]
        ledger.check(rows)
        return self._write(videos, rows)

    def plan(self) -> list[str]:
        """Say what would run."""
        videos = self._inputs()
        active = [video for video in videos if not video.row.status]
        lines = [
            f"{len(active)} videos, {len(videos) - len(active)} rejected before any work, "
            f"{self.skipped.total()} other files passed over"
        ]
        if self._finished(videos) is not None:
            return [*lines, f"nothing to do: {self.out} is up to date"]
        folders = [self._facetrack_folder(video) for video in active]
        done = [units.read_receipt(folder) is not None for folder in folders]
        scored = 0
        for video, folder, ready in zip(active, folders, done, strict=True):
            video.facetracks = folder
            scored += ready and self._scores_folder(video).is_dir()
        lines.append(f"facetracks: {sum(done)} done, {len(done) - sum(done)} to do")
        todo = [(v, f) for v, f, ready in zip(active, folders, done, strict=True) if not ready]
        for video, folder in todo[:_NAMED]:
            lines += self.phases.expect([(video, folder)])
            if (parts := done_parts(self._parts(folder))) is not None:
                lines.append(f"    long: {parts[0]} of its {parts[1]} parts are done")
        if len(todo) > _NAMED:
            lines.append(f"  and {len(todo) - _NAMED} more")
        if self.sync.mode != "off":
            lines.append(f"sync: {scored} done, at most {len(done) - scored} to do")
        lines.append("pack: shards will be written")
        return lines

    def _inputs(self, meanwhile: Callable[[], None] | None = None) -> list[Video]:
        """Find and name the inputs, and close those that are not worth trying.

        ``meanwhile`` is called while files are hashed, if there is anything to hash.
        """
        found = units.discover(self.sources, exclude=self.out)
        if self.corpus:
            found = self.corpus.claim(found)
        cache = self.work / "hashes.json" if self.work.is_dir() else None
        hashes = files.Hashes(cache, meanwhile)
        videos, seen = [], dict[str, Source]()
        for source in units.identify(found, hashes, self.options.limit):
            row = Row(source.root, source.relative, "", video_id=source.video_id)
            video = Video(source, replace(row, sha256=source.sha256))
            twin = seen.setdefault(source.sha256, source) if source.sha256 else source
            if source.skip and not source.unreadable:
                self.skipped[source.skip] += 1
                continue
            if source.skip:
                video.close("rejected", "discover", source.skip, 0)
            elif twin is not source:
                reason = f"the same bytes as {twin.root}/{twin.relative}"
                video.close("rejected", "discover", reason, 0)
            elif objection := video.place(self.rule):
                if objection == splits.NOT_LISTED:
                    self.skipped[objection] += 1
                    continue
                video.close("rejected", "discover", objection, 0)
            videos.append(video)
        return videos

    def _facetrack_folder(self, video: Video) -> Path:
        source, settings = video.source, self.settings.as_json()
        parts = ["facetracks", source.video_id, source.sha256, settings]
        if self.corpus:
            parts.append(self.corpus.digest(source))
        if self.divides and may_be_long(source.mark[0], self.settings):
            parts.append({"stretch": self.settings.stretch, "version": PARTS_VERSION})
        digest = files.digest_of(*parts)
        return self.work / "facetracks" / f"{source.video_id}-{digest}"

    def _parts(self, folder: Path) -> str:
        """Return what the folders of the parts of a long video begin with."""
        return str(self.work / "parts" / folder.name)

    def _scores_folder(self, video: Video) -> Path:
        return sync.scores_folder(
            self.work, video.source.video_id, video.facetracks.name, self.checkpoint
        )

    def _facetracks(self, engine: Engine, videos: Sequence[Video]) -> None:
        jobs = []
        for video in videos:
            video.facetracks = self._facetrack_folder(video)
            source = video.source
            payload = {
                "path": str(source.path),
                "video_id": source.video_id,
                "mark": list(source.mark),
                "time_limit": self.options.time_limit,
                "memory_limit": self.options.memory_limit,
            }
            if self.corpus:
                payload["corpus"] = self.corpus.payload(source)
            if self.divides:
                payload["parts"] = self._parts(video.facetracks)
            jobs.append((video, video.facetracks, payload))
        unit = corpus_unit if self.corpus else units.facetrack_unit
        function = partial(plan_unit if self.divides else unit, self.process, self.settings)
        done = self.phases.run(engine, "facetracks", function, jobs)
        if self.divides:
            then = None if self.sync.mode == "off" else partial(sync.warm_up, self.network)
            done += share(self.phases, engine, self.process, self.settings, jobs, then)
        for video, receipt in done:
            video.row = replace(video.row, decoder=_decoder_words(receipt))
            if "rejected" in receipt:
                video.close("rejected", "facetracks", receipt["rejected"], video.row.attempts)
                continue
            report = receipt["report"]
            frames = dict(report["frames"])
            frames.pop("kept")
            video.frames = {reason: count for reason, count in frames.items() if count}
            video.tracks = sorted(report["tracks"], key=lambda track: str(track["key"]))
            video.row = replace(video.row, frames=report["num_frames"])
            if not video.tracks:
                video.settle()

    def _score(self, engine: Engine, videos: Sequence[Video]) -> None:
        if self.sync.mode == "off":
            return
        jobs = []
        for video in videos:
            payload = {
                "facetracks": str(video.facetracks),
                "keys": video.keys,
                "checkpoint": self.network,
            }
            if not video.row.status:
                jobs.append((video, self._scores_folder(video), payload))
        done = score_videos(self.phases, engine, jobs)
        found = [score for _, receipt in done for score in receipt["scores"].values()]
        calibration = sync.calibrate(found)
        self.calibration = sync.calibration_facts(calibration, self.sync)
        for video, receipt in done:
            for key, measured in receipt["scores"].items():
                video.scores[key] = score = sync.judge(measured, calibration, self.sync)
                if reason := sync.decide(score, self.sync):
                    video.decisions[key] = reason
            if self.options.faces == "best-sync":
                video.choose()
            if not video.keys:
                video.settle()

    def _compare(self, engine: Engine, videos: Sequence[Video]) -> None:
        """Find copies across splits, and leave one of each pair out where that is wanted."""
        open_ = [video for video in videos if not video.row.status]
        if not self.options.find_duplicates or len({video.split for video in open_}) < 2:
            return
        jobs = []
        for video in open_:
            name, tracks = video.source.video_id, video.facetracks
            folder = prints.prints_folder(self.work, name, tracks.name)
            jobs.append((video, folder, {"facetracks": str(tracks)}))
        self.phases.run(engine, "prints", prints.print_unit, jobs)
        members = [
            duplicates.Member(key, video.split, folder)
            for video, folder, _ in jobs
            if not video.row.status
            for key in video.keys
        ]
        self.copies = duplicates.find(members)
        if self.options.drop_duplicates:
            gone = set(duplicates.weaker(self.copies))
            for video in open_:
                video.decisions |= {key: duplicates.DROPPED for key in video.keys if key in gone}
                if not video.row.status and not video.keys:
                    video.settle()

    def _recipe(self, videos: Sequence[Video]) -> dict[str, JSON]:
        """Return everything the shards depend on, and nothing else."""
        recipe = {
            **self.options.recipe(),
            "sync_version": sync.SYNC_VERSION,
            "sync_checkpoint": self.checkpoint,
            "pack_version": pack.PACK_VERSION,
        }
        if self.corpus:
            found = [video.source for video in videos]
            recipe |= {"split": self.corpus.recipe(), "corpus": self.corpus.describe(found)}
        inputs = [video.source.as_json() for video in videos]
        return {**recipe, "fingerprint": files.digest_of(recipe, inputs)}

    def _finished(self, videos: Sequence[Video]) -> BuildReport | None:
        """Return the report of an earlier build that made the very same set, if it is there."""
        manifest = files.read_json(self.out / shards.MANIFEST) or {}
        mark = manifest.get("recipe", {}).get("fingerprint")
        if mark != self._recipe(videos)["fingerprint"]:
            return None
        found = shards.open_set(self.out).shards
        sizes = [files.mark_of(self.out / info.name)[0] for info in found]
        whole = sizes == [info.bytes for info in found]
        rows = ledger.read(self.out)
        again = any(row.status == FAILED and self.options.retries(row.reason) for row in rows)
        if again or not whole or len(rows) != len(videos):
            return None
        return BuildReport(self.out, rows, found, self.skipped, up_to_date=True)

    def _write(self, videos: Sequence[Video], rows: Sequence[Row]) -> BuildReport:
        """Write shards, ledger and card, and the manifest last."""
        options = self.options
        clips = [
            clip
            for video in videos
            if video.keys
            for clip in video.packed(
                options.faces, self.corpus.facts(video.source) if self.corpus else {}
            )
        ]
        pack.clear(self.out, options.dataset)
        ledger.write(rows, self.out)
        written = pack.write_shards(
            clips,
            self.out,
            options.dataset,
            max_count=options.shard_clips,
            max_bytes=options.shard_mb * 2**20,
            pair_every=options.pairs,
            seed=options.seed,
        )
        synctable.write(
            self.out,
            (
                (track, video.scores[track["key"]], video.decisions.get(track["key"], ""))
                for video in videos
                for track in video.tracks
                if track["key"] in video.scores
            ),
        )
        if written:
            recipe = self._recipe(videos)
            if self.calibration:
                recipe["sync"]["calibration"] = self.calibration
            if "duplicates" in recipe:
                gone = duplicates.weaker(self.copies) if options.drop_duplicates else []
                duplicates.write(self.out, self.copies, gone)
            held = card.write(self.out, recipe, written, rows, self.skipped)
            counts = {**ledger.counts(rows), "passed_over": dict(self.skipped)}
            # A made video has its truth beside it; numbers on drawn faces need a warning.
            truths = [video.source.path.with_suffix(".truth.json") for video in videos]
            synthetic = any(truth.is_file() for truth in truths)
            whole = {**recipe, "synthetic": synthetic, "files": counts, "statistics": held}
            shards.finish_set(self.out, written, whole)
        if not options.keep_work and not any(row.status == FAILED for row in rows):
            shutil.rmtree(self.work)
        return BuildReport(self.out, rows, written, self.skipped)


def _decoder_words(receipt: Mapping[str, JSON]) -> str:
    """Return what was wrong with a file as it was read, and the decoder's own words for it."""
    met = receipt.get("report", {}).get("warnings", [])
    return "; ".join([*met, *receipt.get("decoder", [])])
