"""Linear probes: classifiers fitted to labelled photos, on frozen embeddings.

from clipsight import probe
report = probe.fit("pets/", library)                      # needs the extra [probe]
report.probe.save("pets.probe")
for prediction in probe.load("pets.probe").apply(library, "~/Pictures"): ...
"""

from clipsight.probe.file import Probe as Probe
from clipsight.probe.file import ProbeClassification as ProbeClassification
from clipsight.probe.file import load as load
from clipsight.probe.fitting import Report as Report
from clipsight.probe.fitting import fit as fit

__all__ = ["Probe", "ProbeClassification", "Report", "fit", "load"]
