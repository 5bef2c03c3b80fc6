"""The embedded data of motion: people walking and running along random paths, made by Kinema (`gait`)."""

from dataclasses import dataclass

from kinema.data.gait import STYLES, GaitConfig, gait_clips
from kinema.data.motions import MotionSource, WindowConfig
from kinema.data.roles import find_roles

FACTORS = {"action": ("walk", "run"), "style": tuple(STYLES)}


@dataclass(frozen=True)
class GaitsConfig(WindowConfig, GaitConfig):
    """What is made, and how it is cut into windows."""

    train: int = 300
    """Clips of the training split."""

    def __post_init__(self) -> None:
        WindowConfig.__post_init__(self)
        GaitConfig.__post_init__(self)


class Gaits(MotionSource):
    """Made clips of one split; ``all`` is both splits."""

    def __init__(self, config: GaitsConfig, split: str) -> None:
        parts = ("train", "test") if split == "all" else (split,)
        clips = [made.clip for name in parts for made in gait_clips(config, name)]
        super().__init__("gait", split, clips, find_roles(clips[0].skeleton), config, FACTORS)
