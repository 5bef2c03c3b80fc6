"""Tempo, direction, frame rate, loops, composed actions and single blocks, from the choice of times to the files."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinema.cli import main
from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError
from kinema.files import read_clip, write_clip
from kinema.models import clips
from kinema.models.blocks import parse_actions
from kinema.models.tempo import MAX_FRAMES, Playback
from kinema.training.run import load_run, save_weights
from tiny import untrained_run

KNOWN = ("walk", "spellcast", "slash")


def moving(frames: int = 8, name: str = "moving", seed: int = 0, **more: object) -> VideoClip:
    generator = torch.Generator().manual_seed(seed)
    return VideoClip(torch.rand(frames, 3, 16, 16, generator=generator), name=name, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of both kinds, untrained but with large states, so that much moves."""
    folder = tmp_path_factory.mktemp("runs")
    untrained_run(folder / "run", {"model.period": "7.6"})
    untrained_run(folder / "free", {"model.conditional": "false", "model.blocks": "4"})
    untrained_run(folder / "paper", {"model.operator": "symplectic"})
    for name in ("run", "free"):
        model = load_run(folder / name).model
        with torch.no_grad():
            for part in (*model.position.parameters(), *model.momentum.parameters()):
                part.mul_(8)
        save_weights(folder / name, model)
    for name, seed in (("a.png", 0), ("b.png", 1)):
        write_clip(moving(seed=seed), folder / name)
    write_clip(moving(20, seed=2), folder / "long.png")
    return folder


@pytest.fixture
def here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


@pytest.fixture
def show(here: Path) -> Callable[..., VideoClip]:
    """Runs the command; gives the clip that it wrote, at times in seconds."""

    def run(*words: str) -> VideoClip:
        main([*words, "--out", "out.png"])
        return read_clip("out.png")

    return run


ANIMATE = ("animate", "run", "a.png@0", "--action", "walk")
SWAP = ("swap", "run", "a.png", "b.png")


def same(a: VideoClip | torch.Tensor, b: VideoClip | torch.Tensor, atol: float = 1.01 / 255) -> bool:
    a, b = (x.frames if isinstance(x, VideoClip) else x for x in (a, b))
    return a.shape == b.shape and bool(torch.allclose(a, b, atol=atol))


# --- which times ---------------------------------------------------------------------------------------------------


def test_a_clip_as_it_is_keeps_its_times() -> None:
    at = torch.tensor([2.0, 2.5, 5.0], dtype=torch.float64)
    motion = moving(3, times=at, end=7.0, fps=12.0)
    line = Playback().of_clip(motion)
    assert torch.equal(line.at, at)
    assert (line.shown.tolist(), line.end, line.fps) == ([0.0, 0.5, 3.0], 5.0, 12.0)
    assert Playback().of_clip(motion, 5).at.tolist() == [2.0, 2.5, 5.0, 7.0, 8.0]


def test_tempo_shows_the_whole_motion_in_fewer_or_more_frames() -> None:
    motion = moving(8)
    assert Playback(tempo=2.0).of_clip(motion).at.tolist() == [0, 2, 4, 6]
    slow = Playback(tempo=0.5).of_clip(motion)
    assert slow.at.tolist() == [i / 2 for i in range(16)]
    assert (slow.shown.tolist(), slow.end) == (list(range(16)), 16.0)
    uneven = Playback(tempo=0.5).of_clip(moving(2, times=torch.tensor([1.0, 2.0], dtype=torch.float64), end=5.0))
    assert uneven.at.tolist() == [1.0, 1.5, 2.0, 3.5]
    assert (uneven.shown.tolist(), uneven.end) == ([0.0, 1.0, 2.0, 5.0], 8.0)


@pytest.mark.parametrize("tempo", [0.5, 1.0, 2.0, 0.7])
@pytest.mark.parametrize("fps", [None, 30.0])
def test_reverse_shows_the_same_frames_the_other_way_round(tempo: float, fps: float | None) -> None:
    at = torch.tensor([1.0, 1.5, 4.0, 5.0], dtype=torch.float64)
    motion = moving(4, times=at, end=9.0)
    forth = Playback(tempo, fps=fps).of_clip(motion)
    back = Playback(tempo, reverse=True, fps=fps).of_clip(motion)
    torch.testing.assert_close(back.at, forth.at.flip(0))
    assert back.end == pytest.approx(forth.end)
    lasts = [torch.cat([line.shown, torch.tensor([line.end])]).diff() for line in (forth, back)]
    torch.testing.assert_close(lasts[1], lasts[0].flip(0))


def test_reverse_goes_on_before_the_beginning() -> None:
    assert Playback(reverse=True).of_clip(moving(3), 5).at.tolist() == [2, 1, 0, -1, -2]


def test_a_frame_rate_keeps_the_seconds() -> None:
    for line in (
        Playback(fps=25.0).of_picture(10.0, 16),
        Playback(fps=25.0).of_clip(moving(16)),
        Playback(tempo=0.5, fps=25.0).of_clip(moving(8)),
    ):
        assert (len(line.at), line.fps, line.end) == (40, 25.0, 40.0)
        assert line.end / line.fps == 1.6
    torch.testing.assert_close(Playback(fps=25.0).of_picture(10.0, 16).at, torch.arange(40).double() * 0.4)
    assert Playback(tempo=2.0, reverse=True, fps=20.0).of_picture(10.0, 2).at.tolist() == [0, -1, -2, -3]


@pytest.mark.parametrize(("tempo", "fps", "period"), [(1.0, None, 8.0), (1.5, None, 8.0), (0.9, 24.0, 7.3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_is_a_whole_number_of_equal_steps(tempo: float, fps: float | None, period: float, reverse: bool) -> None:
    playback = Playback(tempo, reverse, fps, period)
    for line in (playback.of_picture(10.0, 16), playback.of_clip(moving(20))):
        steps = line.at.diff()
        torch.testing.assert_close(steps, steps[:1].expand_as(steps))
        assert abs(float(steps[0])) * len(line.at) == pytest.approx(period, rel=1e-12)
        wanted = period / tempo * (fps or 10.0) / 10.0
        assert abs(len(line.at) - wanted) <= 0.5
    count = len(playback.of_picture(10.0, 16).at)
    assert len(playback.of_picture(10.0, 16, 3 * count).at) == 3 * count
    with pytest.raises(ConfigError, match=f"--frames {count + 1}: a loop has {count} frames"):
        playback.of_clip(moving(8), count + 1)


def test_what_cannot_be_played_is_refused() -> None:
    for wrong in ({"tempo": 0.0}, {"tempo": math.nan}, {"fps": -1.0}, {"fps": math.inf}, {"loop": 0.0}):
        with pytest.raises(ConfigError, match="positive number"):
            Playback(**wrong)
    for endless in ({"fps": 1e300}, {"tempo": 1e-320}):
        with pytest.raises(ConfigError, match="too many"):
            Playback(**endless).of_clip(moving(8))
    with pytest.raises(ConfigError, match="too many"):
        Playback().of_picture(10.0, 16, MAX_FRAMES + 1)
    with pytest.raises(ConfigError, match="1 frames a loop"):
        Playback(tempo=8.0, loop=8.0).of_picture(10.0, 16)


# --- which operators -----------------------------------------------------------------------------------------------


def test_actions_and_their_weights() -> None:
    assert parse_actions("walk", KNOWN) == {"walk": 1.0}
    assert parse_actions("walk+slash", KNOWN) == {"walk": 1.0, "slash": 1.0}
    assert parse_actions("walk*0.7 + slash*0.3", KNOWN) == {"walk": 0.7, "slash": 0.3}
    assert parse_actions("walk left*2+cut*off", ("walk left", "cut*off")) == {"walk left": 2.0, "cut*off": 1.0}
    assert parse_actions("a+b", ("a", "b", "a+b")) == {"a+b": 1.0}
    for text in ("swim", "walk+", "walk+swim", "swim*0.5"):
        with pytest.raises(ClipError, match="it knows walk, spellcast, slash"):
            parse_actions(text, KNOWN)
    for text in ("walk*", "walk*x", "walk*0", "walk*-1+slash", "walk*nan", "walk*inf"):
        with pytest.raises(ConfigError, match="no weight"):
            parse_actions(text, KNOWN)
    with pytest.raises(ConfigError, match="walk is named twice"):
        parse_actions("walk+slash+walk*0.3", KNOWN)


def recorded(model: torch.nn.Module) -> list[torch.Tensor]:
    """The trajectories that the model's decoder is shown, from now on."""
    seen: list[torch.Tensor] = []
    decode = model.decode

    def spy(z: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        seen.append(states)
        return decode(z, states)

    model.decode = spy
    return seen


def test_composed_actions_move_each_in_their_own_subspace(here: Path) -> None:
    model = load_run("run").model
    seen = recorded(model)
    for action in ("walk", "slash", "walk+slash", "walk*0.7+slash*0.3"):
        clips.animate(model, moving(1), action, range_of(5))
    walk, slash, both, mixed = seen
    assert not bool(walk[:, :, 1:].any())
    assert not bool(slash[:, :, :2].any())
    assert float(walk[:, :, 0].diff(dim=1).abs().amax()) > 1e-3
    torch.testing.assert_close(both, walk + slash)
    torch.testing.assert_close(mixed, 0.7 * walk + 0.3 * slash)


def range_of(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64)


def test_one_block_moves_alone(here: Path) -> None:
    model = load_run("free").model
    seen = recorded(model)
    times = torch.tensor([-2.0, 0.0, 1.5, 4.0], dtype=torch.float64)
    clips.animate(model, moving(1), None, times)
    for block in range(4):
        clips.animate(model, moving(1), None, times, block=block)
    whole, *alone = seen
    for block, states in enumerate(alone):
        others = [k for k in range(4) if k != block]
        torch.testing.assert_close(states[:, :, block], whole[:, :, block])
        torch.testing.assert_close(states[:, :, others], whole[:, 1:2, others].expand(-1, 4, -1, -1))


def test_one_block_of_a_swap_moves_alone_over_all_stretches(here: Path) -> None:
    model = load_run("free").model
    seen = recorded(model)
    motion = moving(20)
    clips.swap(model, moving(4), motion)
    clips.swap(model, moving(4), motion, block=2)
    whole, alone = seen
    torch.testing.assert_close(alone[:, :, 2], whole[:, :, 2])
    others = [0, 1, 3]
    torch.testing.assert_close(alone[:, :, others], whole[:, :1, others].expand(-1, 20, -1, -1))
    assert float(whole[:, :, others].diff(dim=1).abs().amax()) > 1e-3


def test_in_a_conditional_model_the_block_is_the_action(here: Path) -> None:
    model = load_run("run").model
    named = clips.animate(model, moving(1), "slash", range_of(6))
    numbered = clips.animate(model, moving(1), None, range_of(6), block=2)
    assert torch.equal(named.frames, numbered.frames)
    assert named.labels["action"] == numbered.labels["action"] == "slash"
    named = clips.swap(model, moving(8), moving(8, seed=1), "slash")
    numbered = clips.swap(model, moving(8), moving(8, seed=1), block=2)
    assert torch.equal(named.frames, numbered.frames)
    seen = recorded(model)
    clips.animate(model, moving(1), "walk+slash", range_of(6), block=2)
    assert not bool(seen[0][:, :, 0].diff(dim=1).any())
    assert bool(seen[0][:, :, 0].any())
    assert bool(seen[0][:, :, 2].diff(dim=1).any())


# --- swaps in stretches --------------------------------------------------------------------------------------------


def test_every_time_is_taken_from_the_stretch_it_lies_in(here: Path) -> None:
    """Stretches of four frames jump where a new one begins, wherever the times between the frames lie."""
    model = load_run("run").model
    seen = recorded(model)
    motion = moving(20)
    for playback in (Playback(), Playback(tempo=0.25), Playback(reverse=True), Playback(fps=40.0)):
        clips.swap(model, moving(4), motion, "walk", reinfer=4, playback=playback)
    plain, slow, back, smooth = seen
    torch.testing.assert_close(slow[:, ::4], plain)
    torch.testing.assert_close(back, plain.flip(1))
    torch.testing.assert_close(smooth, slow)
    for first in range(0, 20, 4):
        rows = slow[:, 4 * first : 4 * (first + 4), 0]
        elapsed = (torch.arange(16) / 4).double()
        flowed = model.flow(slow[:, 4 * first].clone(), elapsed)[:, :, 0]
        torch.testing.assert_close(rows, flowed, atol=1e-4, rtol=1e-4)


# --- the commands --------------------------------------------------------------------------------------------------


def test_a_loop_closes_exactly(show: Callable[..., VideoClip]) -> None:
    once, thrice = show(*ANIMATE, "--loop"), show(*ANIMATE, "--loop", "--frames", "24")
    assert len(once) == 8, "7.6, the model's cycle, rounded"
    assert all(same(part, once) for part in thrice.frames.split(8))
    assert not same(once.frames[0], once.frames[4], 0.02)
    open_ended = show(*ANIMATE, "--frames", "24")
    assert not same(open_ended.frames[:8], open_ended.frames[16:], 0.02), "without --loop it drifts"
    assert same(show(*ANIMATE, "--loop", "--reverse").frames[1:], once.frames[1:].flip(0))
    assert len(show(*ANIMATE, "--loop", "--period", "11")) == 11
    assert len(show(*ANIMATE, "--loop", "--tempo", "0.5")) == 16
    fine = show(*ANIMATE, "--loop", "--fps", "50")
    assert (len(fine), fine.fps) == (40, pytest.approx(50.0))
    assert same(fine.frames[::5], once)


def test_the_last_frame_and_one_step_is_the_first(here: Path) -> None:
    model = load_run("run").model.snapped(7.3)
    line = Playback(tempo=1.3, fps=17.0, loop=7.3).of_picture(10.0, 16)
    seen = recorded(model)
    clips.animate(model, moving(1), "walk", line.at)
    states, step = seen[0], line.at[1:2]
    with torch.inference_mode():
        after = model.flow(states[:, -1], step)[:, 0]
    torch.testing.assert_close(after, states[:, 0], atol=1e-5, rtol=0)
    assert float(states[0, :, 0].diff(dim=0).norm(dim=-1).min()) > 0.1


def test_a_frame_rate_keeps_the_frames_of_the_model(show: Callable[..., VideoClip]) -> None:
    plain, fine = show(*ANIMATE), show(*ANIMATE, "--fps", "30")
    assert (len(plain), len(fine), fine.fps) == (16, 48, pytest.approx(30.0))
    assert same(fine.frames[::3], plain)
    assert not same(fine.frames[1], plain.frames[0], 0.5 / 255)
    assert float(fine.duration / fine.fps) == pytest.approx(float(plain.duration / plain.fps))
    coarse = show(*ANIMATE, "--fps", "5")
    assert same(coarse, plain.frames[::2])


def test_swaps_at_other_tempos_backwards_and_smooth(show: Callable[..., VideoClip]) -> None:
    plain, slow = show(*SWAP), show(*SWAP, "--tempo", "0.5")
    assert (len(plain), len(slow), slow.fps) == (8, 16, plain.fps)
    assert same(slow.frames[::2], plain)
    assert not same(plain.frames[0], plain.frames[3], 0.02)
    assert same(show(*SWAP, "--reverse"), plain.frames.flip(0))
    fine = show(*SWAP, "--fps", "20")
    assert (len(fine), fine.fps) == (16, pytest.approx(20.0))
    assert same(fine, slow)
    assert len(read_clip("out-back.png")) == 16, "the options of time hold for both ways"
    assert same(show(*SWAP, "--tempo", "0.5", "--reverse", "--fps", "20").frames[3::4], plain.frames.flip(0))


def test_swaps_loop(show: Callable[..., VideoClip]) -> None:
    for motion in ("b.png", "long.png"):
        once = show("swap", "run", "a.png", motion, "--loop")
        twice = show("swap", "run", "a.png", motion, "--loop", "--frames", "16", "--reinfer", "0")
        assert len(once) == 8
        assert all(same(part, once) for part in twice.frames.split(8))
    assert len(show(*SWAP, "--loop", "--period", "6", "--fps", "20")) == 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*ANIMATE, "--times", "0,1", "--reverse", "--loop"), ["--times 0,1", "leave out --reverse, --loop"]),
        ((*ANIMATE, "--times", "0,1", "--fps", "20", "--frames", "3"), ["leave out --frames, --fps"]),
        ((*ANIMATE, "--period", "8"), ["--period 8", "--loop"]),
        ((*SWAP, "--period", "8"), ["--period 8", "--loop"]),
        ((*ANIMATE, "--loop", "--frames", "12"), ["--frames 12", "a loop has 8 frames", "16"]),
        ((*ANIMATE, "--loop", "--period", "0"), ["--period 0", "positive"]),
        ((*ANIMATE, "--fps", "0"), ["--fps 0", "positive"]),
        ((*SWAP, "--tempo", "0"), ["--tempo 0", "positive"]),
        ((*SWAP, "--loop", "--reinfer", "4"), ["--reinfer", "read once"]),
        ((*ANIMATE, "--frames", "1000000000"), ["too many"]),
        ((*ANIMATE, "--frames", "1048577"), ["too many"]),
        ((*ANIMATE[:-2], "--loop"), ["--action", "walk, spellcast, slash"]),
        ((*ANIMATE, "--block", "3"), ["--block 3", "0 walk, 1 spellcast, 2 slash"]),
        ((*ANIMATE, "--block", "1"), ["--block 1 is spellcast", "--action walk"]),
        ((*SWAP, "--action", "walk", "--block", "1"), ["--block 1 is spellcast", "--action walk"]),
        ((*ANIMATE[:-1], "walk+swim"), ["swim", "walk, spellcast, slash"]),
        (("animate", "free", "a.png@0", "--action", "walk+slash"), ["walk+slash", "--block 0 to 3"]),
        (("animate", "free", "a.png@0", "--block", "-1"), ["--block -1", "0 to 3"]),
        (("swap", "free", "a.png", "b.png", "--block", "4"), ["--block 4", "0 to 3"]),
        (("animate", "paper", "a.png@0", "--action", "walk", "--loop"), ["symplectic", "definite or orthogonal"]),
    ],
)
def test_what_does_not_go_together_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: list[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main([*words, "--out", "refused.png"])
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in says), error
    assert not Path("refused.png").exists()
