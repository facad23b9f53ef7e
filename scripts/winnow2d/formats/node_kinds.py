"""What RELION 3.1, 4.0 and 5 call the kinds of files that jobs hand on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeKind:
    """What RELION calls a kind of file: label in 5.x, number in 3.1."""

    label: str
    number: int

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of its folders below .Nodes: in RELION 5, in 4.0, which has other names for some, and in 3.1."""
        name = self.label.split(".")[0]
        return tuple(dict.fromkeys((name, _FOLDERS_OF_40.get(name, name), str(self.number))))


_FOLDERS_OF_40 = {
    "MicrographMovieGroupMetadata": "MicrographMoviesData",
    "MicrographGroupMetadata": "MicrographsData",
    "MicrographCoordsGroup": "MicrographsCoords",
    "ParticleGroupMetadata": "ParticlesData",
    "Image2DGroupMetadata": "ImagesData",
    "OptimiserData": "ProcessData",
}


NODE_KINDS = {
    "particles": NodeKind("ParticleGroupMetadata.star.relion", 3),
    "class2d_data": NodeKind("ParticleGroupMetadata.star.relion.class2d", 3),
    "class2d_model": NodeKind("ProcessData.star.relion.class2d.model", 8),  # what a Select job of 3.1 starts from
    "class2d_optimiser": NodeKind("OptimiserData.star.relion.class2d", 9),
    "class_averages": NodeKind("Image2DGroupMetadata.star.relion.classaverages", 5),
    "micrographs": NodeKind("MicrographGroupMetadata.star.relion", 1),
    "coordinates": NodeKind("MicrographCoordsGroup.star.relion", 2),
}

# Beginnings of node labels of 5.x and 4.0, the longer ones first, with RELION 3.1's number.
NODE_NUMBERS = {
    "DensityMap.mrc.halfmap": 10,
    "ProcessData.star.relion.optimiser": 9,
    "ProcessData.star.relion.class2d.model": 8,
    "MicrographMovieGroupMetadata": 0, "MicrographMoviesData": 0,
    "MicrographGroupMetadata": 1, "MicrographsData": 1,
    "MicrographCoordsGroup": 2, "MicrographsCoords": 2,
    "ParticleGroupMetadata": 3, "ParticlesData": 3,
    "Image2DGroupMetadata": 5, "ImagesData": 5,
    "DensityMap": 6, "Mask3D": 7, "OptimiserData": 9, "LogFile": 13,
}  # fmt: skip
NODE_LABELS = {
    0: "MicrographMovieGroupMetadata.star.relion",
    1: "MicrographGroupMetadata.star.relion",
    2: "MicrographCoordsGroup.star.relion",
    3: "ParticleGroupMetadata.star.relion",
    5: "Image2DGroupMetadata.star.relion.classaverages",
    6: "DensityMap.mrc",
    7: "Mask3D.mrc",
    8: "ProcessData.star.relion.class2d.model",
    9: "OptimiserData.star.relion.class2d",
    10: "DensityMap.mrc.halfmap",
    13: "LogFile.pdf.relion",
}
