"""Table of GPUs: their memory and the peaks of their data sheets."""

from dataclasses import dataclass

TERA = 1e12


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU as its maker's documents state it; rates are FLOP/s of dense products, not sparse ones.

    Attributes:
        name: what configurations call it.
        mark: what torch's name of such a device holds.
        memory_gb: its memory in GB.
        bf16, tf32, float32: peaks by precision; None where the hardware has not this precision.
        source: where these numbers stand.
    """

    name: str
    mark: str
    memory_gb: float
    bf16: float | None
    tf32: float | None
    float32: float
    source: str

    def find_peak(self, precision: str) -> float | None:
        """Return the peak of a precision (float32, tf32, bf16), None where the GPU has not it."""
        return getattr(self, precision)

    def reach_peak(self, precision: str) -> float:
        """Return the peak of a precision, or of the next wider one that the GPU has.

        auto is the fastest that it has.
        """
        from_fastest = ("bf16", "tf32", "float32")
        start = 0 if precision == "auto" else from_fastest.index(precision)
        return next(peak for one in from_fastest[start:] if (peak := getattr(self, one)))


def _gpu(
    name: str, memory_gb: float, bf16: float | None, tf32: float | None, f32: float, source: str
) -> Gpu:
    """Return a row, its rates in TFLOP/s."""
    return Gpu(
        name=name,
        mark=name.split("-")[0],
        memory_gb=memory_gb,
        bf16=bf16 and bf16 * TERA,
        tf32=tf32 and tf32 * TERA,
        float32=f32 * TERA,
        source=source,
    )


# SXM modules where there are several. Data sheets of later ones print rates of sparse products,
# twice the dense ones that stand here.
GPUS = (
    _gpu("A100-40", 40, 312, 156, 19.5, "NVIDIA A100 data sheet, 40 GB"),
    _gpu("A100-80", 80, 312, 156, 19.5, "NVIDIA A100 data sheet, 80 GB SXM"),
    _gpu("H100", 80, 989, 494, 67, "NVIDIA H100 data sheet, SXM; sparse rates halved"),
    _gpu("H200", 141, 989, 494, 67, "NVIDIA H200 data sheet, SXM; sparse rates halved"),
    _gpu("L40S", 48, 362, 183, 91.6, "NVIDIA L40S data sheet, dense"),
    _gpu("V100", 32, None, None, 15.7, "NVIDIA V100 data sheet, SXM2; neither bf16 nor TF32"),
    _gpu("RTX 4090", 24, 165.2, 82.6, 82.6, "NVIDIA Ada architecture paper, sums in float32"),
)
GPU_NAMES = tuple(gpu.name for gpu in GPUS)


def find_gpus(names: list[str]) -> list[Gpu]:
    """Return the rows of some names, in the order of the names."""
    by_name = {gpu.name: gpu for gpu in GPUS}
    return [by_name[name] for name in names]
