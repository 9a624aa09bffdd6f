"""Maps of elements in embedding space, with numbers that the picture alone would not give.

PCA, then t-SNE for the eye; beside it, contigs held out in turn, the accuracy of the nearest
neighbours in the space of the principal components and of a logistic probe of the embeddings, and
the silhouette. Neighbours are compared with those of GC content alone, since elements differ in it.
Shape letters: R rows, D width, P components.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.jobs.progress import progress

GC_BINS = 10
STRETCHES = 5  # of a single contig
FOLDS, INNER_FOLDS = 5, 3  # of whole contigs: that score the probe, that choose its penalty
MAX_ITERATIONS = 2000


@dataclass(frozen=True, kw_only=True)
class MapConfig:
    """How a map is drawn: principal components, perplexity of t-SNE, neighbours, and the seed.

    penalties: inverse strengths C of the probe, among which contigs that train it choose.
    """

    components: int
    perplexity: float
    neighbours: int
    penalties: Sequence[float]
    seed: int


@dataclass(frozen=True, kw_only=True)
class ElementMap:
    """Coordinates float64[R, 2] of a map, and how well elements lie apart.

    neighbour_accuracy: balanced over elements, of the nearest neighbours on other contigs.
    gc_accuracy: the same from GC content in the place of the embeddings.
    probe_accuracy: the same of a logistic probe of the embeddings themselves.
    chance: 1 / number of elements.
    silhouette: in the space of the principal components, from −1 to 1.
    explained: share of the variance that the components hold.
    """

    coordinates: NDArray[np.float64]
    neighbour_accuracy: float
    gc_accuracy: float
    probe_accuracy: float
    chance: float
    silhouette: float
    explained: float


def draw_map(
    embeddings: NDArray[np.floating],
    elements: Sequence[str],
    contigs: Sequence[str],
    starts: Sequence[int],
    gc: NDArray[np.floating],
    config: MapConfig,
) -> ElementMap:
    """Return the map of embeddings [R, D] of `elements`, which begin at `starts` of `contigs`.

    A single contig is parted into five stretches of as many rows each, held out in turn. Raises
    InputError for fewer than two elements, or so few rows that t-SNE has no neighbours to keep.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    labels = np.asarray(elements)
    check_rows(elements, config.perplexity)
    components = min(config.components, *embeddings.shape)
    pca = PCA(components, random_state=config.seed)
    reduced = pca.fit_transform(np.asarray(embeddings, dtype=np.float64))
    tsne = TSNE(perplexity=config.perplexity, init="pca", random_state=config.seed)
    groups = _groups(contigs, starts)
    return ElementMap(
        coordinates=tsne.fit_transform(reduced).astype(np.float64),
        neighbour_accuracy=neighbour_accuracy(reduced, labels, groups, config.neighbours),
        gc_accuracy=neighbour_accuracy(
            np.asarray(gc, dtype=np.float64)[:, None], labels, groups, config.neighbours
        ),
        probe_accuracy=probe_accuracy(embeddings, labels, groups, config.penalties),
        chance=1 / len(set(elements)),
        silhouette=float(silhouette_score(reduced, labels)),
        explained=float(pca.explained_variance_ratio_.sum()),
    )


def check_rows(elements: Sequence[str], perplexity: float, left_out: int = 0) -> None:
    """Raise InputError for fewer than two elements, or too few rows for a perplexity.

    `left_out` is how many rows have been left out so that elements are alike in GC content.
    """
    if len(set(elements)) < 2:
        raise InputError("A map needs windows of at least two elements; name more of them.")
    if len(elements) <= 3 * perplexity:
        counts = ", ".join(f"{own:,} of {name}" for name, own in sorted(Counter(elements).items()))
        left = f", {left_out:,} left out to match GC content," if left_out else ""
        raise InputError(
            f"{len(elements)} windows ({counts}){left} are too few for a perplexity of "
            f"{perplexity:g}; take more windows, leave the rarest element out of `elements`, or "
            f"lower maps.perplexity{', or set maps.match_gc: false' if left_out else ''}."
        )


def _groups(contigs: Sequence[str], starts: Sequence[int]) -> NDArray:
    names = np.asarray(contigs)
    if len(set(contigs)) > 1:
        return names
    # By place on the contig: rows come element by element, so parts of their order would be that.
    ranks = np.argsort(np.argsort(np.asarray(starts), kind="stable"))
    return ranks * STRETCHES // max(len(names), 1)


def neighbour_accuracy(
    features: NDArray[np.float64], labels: NDArray, groups: NDArray, neighbours: int
) -> float:
    """Return the balanced accuracy of a vote of the nearest rows of other groups.

    A row's own group, its contig or stretch of one, is held out, so that neighbours on the genome
    do not help.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    smallest = min(int((groups != group).sum()) for group in np.unique(groups))
    classifier = KNeighborsClassifier(min(neighbours, smallest))
    predicted = cross_val_predict(
        classifier, features, labels, groups=groups, cv=LeaveOneGroupOut()
    )
    return float(balanced_accuracy_score(labels, predicted))


def probe_accuracy(
    embeddings: NDArray[np.floating], labels: NDArray, groups: NDArray, penalties: Sequence[float]
) -> float:
    """Return the balanced accuracy of logistic regression on rows of groups held out in turn.

    Five folds of whole groups, as many as there are if fewer; C is chosen by folds of whole groups
    within the training rows, and is the middle one where these have too few groups or elements.
    Features are standardised by training rows, elements weigh the same.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS)
    )
    name, ordered = "logisticregression__C", sorted(penalties)
    folds = min(FOLDS, len(np.unique(groups)))
    predicted = np.empty_like(labels)
    splits = GroupKFold(folds).split(embeddings, labels, groups)
    for train, test in progress(splits, "probe elements", "folds", folds):
        features, truth = embeddings[train], labels[train]
        inner = min(INNER_FOLDS, len(np.unique(groups[train])))
        parts = list(GroupKFold(inner).split(features, truth, groups[train])) if inner > 1 else []
        if len(np.unique(truth)) == 1:  # nothing to learn from
            predicted[test] = truth[0]
        elif parts and all(len(np.unique(truth[own])) > 1 for own, _ in parts):
            search = GridSearchCV(probe, {name: ordered}, scoring="balanced_accuracy", cv=parts)
            predicted[test] = search.fit(features, truth).predict(embeddings[test])
        else:
            fitted = probe.set_params(**{name: ordered[len(ordered) // 2]}).fit(features, truth)
            predicted[test] = fitted.predict(embeddings[test])
    return float(balanced_accuracy_score(labels, predicted))


def match_gc(
    table: pd.DataFrame, gc: NDArray[np.floating], seed: int
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the rows, ascending, after which every element has the same histogram of GC content.

    `table` has the column element. In each of ten bins as many rows of each element are drawn as
    the rarest has there. Also returned is how many rows of each element were left out. Raises
    InputError when nothing is left.
    """
    random = np.random.default_rng(seed)
    bins = np.minimum((np.asarray(gc) * GC_BINS).astype(int), GC_BINS - 1)
    names = sorted(set(table["element"]))
    labels = table["element"].to_numpy()
    kept: list[NDArray[np.int64]] = []
    for number in range(GC_BINS):
        inside = {name: np.flatnonzero((labels == name) & (bins == number)) for name in names}
        most = min(map(len, inside.values()))
        kept += [random.choice(rows, most, replace=False) for rows in inside.values()]
    rows = np.sort(np.concatenate(kept))
    if not len(rows):
        raise InputError(
            f"{', '.join(names)} have no GC content in common, so that it cannot be matched; take "
            "more windows, or leave maps.match_gc off."
        )
    left_out = {name: int((labels == name).sum() - (labels[rows] == name).sum()) for name in names}
    return rows, left_out
