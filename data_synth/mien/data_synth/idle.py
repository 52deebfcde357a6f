"""What a living face does besides: blinks, saccades, sway, breath and jitter."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.data_synth.lexicon import TRACKS
from mien.data_synth.style import Style

_I = {name: i for i, name in enumerate(TRACKS)}
_LIDS = [_I["eyeBlinkLeft"], _I["eyeBlinkRight"]]
_WIDE = [_I["eyeWideLeft"], _I["eyeWideRight"]]
_HEAD = [_I["headYaw"], _I["headPitch"], _I["headRoll"]]
_GAZE = [_I["gazeYaw"], _I["gazePitch"]]
_LEFTS = [_I[t] for t in TRACKS if t.endswith("Left")]
_RIGHTS = [_I[TRACKS[i].removesuffix("Left") + "Right"] for i in _LEFTS]
_SWAY = np.array([0.016, 0.011, 0.009])  # radians, yaw pitch roll; a seated, attentive head
_JITTER = 0.04  # of an active unit; a quiet unit of a live capture moves by about 0.002 a frame
_STIRS_HZ = 1.4  # small movements without a meaning; live captures start several units a second
_STIRS: tuple[dict[str, float], ...] = (
    {"mouthPress": 1.0, "mouthRollLower": 0.5},
    {"mouthSmile": 1.0, "cheekSquint": 0.5},
    {"browInnerUp": 1.0, "browOuterUp": 0.7},
    {"browDown": 1.0, "eyeSquint": 0.5},
    {"mouthStretch": 0.7, "mouthDimple": 1.0},
    {"jawOpen": 1.0, "mouthLowerDown": 0.6},
    {"mouthShrugLower": 1.0, "mouthFrown": 0.5},
    {"mouthRollUpper": 0.7, "mouthRollLower": 1.0},
    {"noseSneer": 0.7, "mouthUpperUp": 0.5},
    {"mouthPucker": 1.0, "mouthFunnel": 0.4},
)


def add_idle(
    tracks: Float[ndarray, "c t"],
    times: Float[ndarray, " t"],
    style: Style,
    rng: np.random.Generator,
    blink_rate: Float[ndarray, " t"],
    quiet_gaze: Float[ndarray, " t"],
) -> None:
    """Add to `tracks` in place what goes on underneath.

    Args:
        tracks: What the actions make.
        times: Of the frames, seconds.
        style: The performer.
        rng: Chance.
        blink_rate: Factor on the rate of spontaneous blinks.
        quiet_gaze: Share of the gaze's own small movements that is left.
    """
    _add_saccades(tracks, times, style, rng, quiet_gaze)
    _add_lid_follow(tracks)
    _add_blinks(tracks, times, style, rng, blink_rate)
    _add_head(tracks, times, style, rng)
    _add_stirs(tracks, times, style, rng)
    _add_jitter(tracks, style, rng)


def _add_saccades(
    tracks: ndarray, times: ndarray, style: Style, rng: np.random.Generator, share: ndarray
) -> None:
    """Small jumps of the gaze around its aim, each done within two or three frames."""
    count = 2 + int(times[-1] * 8)
    waits = rng.gamma(2.0, 0.22 / style.alertness, count)
    starts = np.cumsum(waits)
    jumps = rng.normal(0, (0.055, 0.035), (count, 2))
    move = np.clip((times[None] - starts[:, None]) / 0.07, 0, 1)
    steps = np.diff(jumps, axis=0, prepend=np.zeros((1, 2)))
    drift = (steps[:, :, None] * move[:, None]).sum(0)  # [2, T]
    tracks[_I["gazeYaw"]] += drift[0] * share
    tracks[_I["gazePitch"]] += drift[1] * share


def _add_lid_follow(tracks: ndarray) -> None:
    """Lids go down with the gaze, and up a little."""
    pitch = np.clip(tracks[_I["gazePitch"]], -1, 1)
    for lid, wide in zip(_LIDS, _WIDE, strict=True):
        tracks[lid] = np.maximum(tracks[lid], 0.5 * tracks[lid] + 0.2 * np.clip(pitch, 0, 1))
        tracks[wide] += 0.12 * np.clip(-pitch, 0, 1) * (tracks[lid] < 0.3)


def _add_blinks(
    tracks: ndarray, times: ndarray, style: Style, rng: np.random.Generator, rate: ndarray
) -> None:
    """Spontaneous blinks: at least 0.8 s apart, none while the lids are busy."""
    lids = tracks[_LIDS].max(0)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.04
    busy = np.abs(np.gradient(lids)) / step > 0.6 if len(lids) > 1 else lids > 2
    odds = rng.uniform(size=len(times)) < style.blink_hz * rate * step * ((lids < 0.55) & ~busy)
    last = -1.0
    for start in times[odds]:
        ahead = lids[(times >= start) & (times < start + 0.35)]
        if start - last < 0.8 or ahead.max() - lids[np.searchsorted(times, start)] > 0.3:
            continue
        last = float(start)
        _blink(tracks, times, last, rng)


def _blink(tracks: ndarray, times: ndarray, start: float, rng: np.random.Generator) -> None:
    close, hold, reopen = rng.uniform(0.065, 0.09), rng.uniform(0, 0.02), rng.uniform(0.1, 0.18)
    t = times - start
    down = _ease(t / close) * (1 - _ease((t - close - hold) / reopen))
    depth = rng.uniform(0.85, 1.0)
    for lid in _LIDS:
        tracks[lid] += (depth - tracks[lid]).clip(0) * down
    for wide in _WIDE:
        tracks[wide] *= 1 - 0.9 * down
    tracks[_I["gazePitch"]] += 0.06 * down
    for name in ("eyeSquintLeft", "eyeSquintRight"):
        tracks[_I[name]] += 0.08 * down


def _ease(x: ndarray) -> ndarray:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * x * (10 - 15 * x + 6 * x * x))


def _add_head(tracks: ndarray, times: ndarray, style: Style, rng: np.random.Generator) -> None:
    """Sway, breath, and the head's small part in every shift of gaze."""
    rates = rng.uniform(0.08, 0.75, (3, 5, 1))
    phases = rng.uniform(0, 2 * np.pi, (3, 5, 1))
    waves = (np.sin(2 * np.pi * rates * times + phases) - np.sin(phases)) / (1 + 3 * rates)
    tracks[_HEAD] += style.looseness * _SWAY[:, None] * waves.sum(1) / 1.8
    breath = 2 * np.pi * rng.uniform(0.2, 0.3) * times + rng.uniform(0, 2 * np.pi)
    tracks[_I["headPitch"]] += 0.004 * style.looseness * np.sin(breath)
    follow = 0.07 * style.looseness
    tracks[_I["headYaw"]] += follow * _lowpass(tracks[_I["gazeYaw"]], times)
    tracks[_I["headPitch"]] += 0.7 * follow * _lowpass(tracks[_I["gazePitch"]], times)


def _lowpass(x: ndarray, times: ndarray) -> ndarray:
    """A causal average over about 0.3 s: the head comes after the eyes."""
    width = max(1, int(0.3 * len(times) / max(times[-1], 1e-3)))
    padded = np.concatenate([np.full(width, x[0]), x])
    total = np.cumsum(padded)
    return np.asarray((total[width:] - total[:-width]) / width)


def _add_stirs(tracks: ndarray, times: ndarray, style: Style, rng: np.random.Generator) -> None:
    """Faint, short movements of the lips, brows and jaw that say nothing."""
    count = rng.poisson(_STIRS_HZ * style.looseness * (times[-1] + 1))
    for start in rng.uniform(-0.5, times[-1], count):
        rise, hold, fall = rng.uniform(0.12, 0.35), rng.gamma(1.0, 0.35), rng.uniform(0.2, 0.6)
        t = times - start
        pulse = _ease(t / rise) * (1 - _ease((t - rise - hold) / fall))
        size, skew = rng.gamma(2.0, 0.035), rng.uniform(-0.35, 0.35)
        for stem, share in _STIRS[rng.integers(len(_STIRS))].items():
            for side, skewed in (("", 1.0), ("Left", 1 + skew), ("Right", 1 - skew)):
                if stem + side in _I:
                    unit = tracks[_I[stem + side]]
                    unit += size * share * skewed * pulse * (1 - unit.clip(0, 1))


def _add_jitter(tracks: ndarray, style: Style, rng: np.random.Generator) -> None:
    """Noise that falls with frequency, on units and head, stronger where the face is active."""
    frames = tracks.shape[1]
    bins = frames // 2 + 1
    fall = 1.0 / np.maximum(1, np.arange(bins)) ** 0.8
    fall[0] = 0.0
    spectrum = rng.normal(size=(2, len(TRACKS), bins)) * fall
    noise = np.fft.irfft(spectrum[0] + 1j * spectrum[1], n=frames, axis=1)
    noise /= noise.std(1, keepdims=True) + 1e-6
    noise[_RIGHTS] = 0.85 * noise[_LEFTS] + 0.5 * noise[_RIGHTS]
    noise[_LIDS[1]] = noise[_LIDS[0]]  # lids move as one
    units = slice(0, len(TRACKS) - 8)
    active = np.clip(tracks[units], 0, 1)
    rest = style.rest[units, None]
    tracks[units] += (rest + noise[units] * (0.3 * rest + _JITTER * active)) * (1 - active)
    tracks[_HEAD] += 0.0012 * style.looseness * noise[_HEAD]
    tracks[_GAZE] += 0.008 * noise[_GAZE]
