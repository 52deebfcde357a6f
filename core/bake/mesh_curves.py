"""Curves along a mesh's edges, cut at anchors and matched by arc length."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from bake.makehuman import Array, Ids


@dataclass(frozen=True)
class OnEdges:
    """Places on edges: `(1 - shares) * first + shares * second`, vertex ids and shares `[N]`."""

    first: Ids
    second: Ids
    shares: Array

    def gather(self, vertices: Array) -> Array:
        """Read the places off a mesh, `[N, 3]`."""
        shares = self.shares[:, None]
        return np.asarray((1 - shares) * vertices[self.first] + shares * vertices[self.second])


def edges_of(faces: Ids) -> Ids:
    """Give each undirected edge of some triangles once, `[E, 2]`."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def boundary_edges(faces: Ids) -> Ids:
    """Give the edges that only one triangle has, `[E, 2]`."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    return np.asarray(edges[counts == 1])


def edge_graph(vertices: Array, faces: Ids) -> csr_matrix:
    """Give the mesh as a graph weighted by edge length."""
    edges = edges_of(faces)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    count = len(vertices)
    return csr_matrix((np.tile(length, 2), (rows, columns)), shape=(count, count))


def hops_from(graph: csr_matrix, start: Ids) -> Array:
    """Count the edges from each vertex to the nearest of `start`; infinite where none leads."""
    return np.asarray(dijkstra(graph, indices=start, unweighted=True, min_only=True))


def path_through(graph: csr_matrix, stops: Ids) -> Ids:
    """Walk the shortest way along edges from stop to stop, both ends included."""
    path = [int(stops[0])]
    for start, stop in zip(stops, stops[1:], strict=False):
        _, before = dijkstra(graph, indices=int(start), return_predecessors=True)
        leg = [int(stop)]
        while leg[-1] != start:
            leg.append(int(before[leg[-1]]))
        path += leg[::-1][1:]
    return np.array(path)


def keep_vertices(graph: csr_matrix, ids: Ids) -> csr_matrix:
    """Drop all edges but those between some vertices."""
    inside = np.zeros(graph.shape[0])
    inside[ids] = 1.0
    kept = csr_matrix(graph.multiply(inside[:, None]).multiply(inside[None, :]))
    kept.eliminate_zeros()
    return kept


def arc_lengths(vertices: Array, path: Ids) -> Array:
    """Give how far along a path each of its vertices lies, from 0 to 1."""
    steps = np.linalg.norm(np.diff(vertices[path], axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(length / length[-1])


def place_along(vertices: Array, path: Ids, fractions: Array) -> OnEdges:
    """Give the places at some fractions of a path's length."""
    length = arc_lengths(vertices, path)
    after = np.clip(np.searchsorted(length, fractions), 1, len(path) - 1)
    low, high = length[after - 1], length[after]
    shares = np.clip((fractions - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return OnEdges(path[after - 1], path[after], shares)


def walk_cycle(graph: csr_matrix, ids: Ids) -> Ids:
    """Put vertices that hang together in one closed line in their order.

    Raises:
        ValueError: If one of them has not exactly two neighbors among them.
    """
    ring = keep_vertices(graph, ids)
    if not np.array_equal(np.diff(ring.indptr)[ids], np.full(len(ids), 2)):
        raise ValueError(f"{len(ids)} vertices must lie on one closed line, they branch or end.")
    path = [int(ids[0]), int(ring.indices[ring.indptr[ids[0]]])]
    while len(path) < len(ids):
        beside = ring.indices[ring.indptr[path[-1]] : ring.indptr[path[-1] + 1]]
        path.append(int(beside[0] if beside[0] != path[-2] else beside[1]))
    return np.array(path)


def split_cycle(
    vertices: Array, graph: csr_matrix, cycle: Ids, top: int, bottom: int
) -> list[Ids]:
    """Cut a mouth's or an eye's line at its corners, the points farthest left and right.

    Args:
        vertices: `[V, 3]`, +X the subject's left.
        graph: Of the mesh.
        cycle: In order.
        top: A vertex above: the upper half is the one that fewer edges part from it.
        bottom: A vertex below.

    Returns:
        The upper and the lower half, each from the subject's right corner to the left one.
    """
    turned = np.roll(cycle, -int(vertices[cycle, 0].argmin()))
    left = int(vertices[turned, 0].argmax())
    halves = [turned[: left + 1], np.append(turned[left:], turned[0])[::-1]]
    hops = [hops_from(graph, np.array([end])) for end in (top, bottom)]
    above = [float((hops[0][half] - hops[1][half]).mean()) for half in halves]
    return halves if above[0] < above[1] else halves[::-1]


def match_halves(
    source: Array, source_half: Ids, target: Array, target_half: Ids, center: float | None = None
) -> OnEdges:
    """Place one line's vertices on another: corners on corners, the rest by arc length.

    Args:
        source: `[V, 3]`.
        source_half: Its line.
        target: `[U, 3]`.
        target_half: The line to lie on.
        center: If given, where both cross this x they match too: both are cut there.
    """
    if center is None:
        return place_along(target, target_half, arc_lengths(source, source_half))
    fractions = arc_lengths(source, source_half)
    middle = _fraction_at_x(source, source_half, center)
    target_middle = _fraction_at_x(target, target_half, center)
    fractions = np.interp(fractions, [0.0, middle, 1.0], [0.0, target_middle, 1.0])
    return place_along(target, target_half, fractions)


def _fraction_at_x(vertices: Array, path: Ids, center: float) -> float:
    return float(np.interp(center, vertices[path, 0], arc_lengths(vertices, path)))
