"""Linear probes: classes learned from labelled photos, on frozen embeddings.

    from clipsight.probe import fit_probe, load_probe
    report = fit_probe("pets/", library)                      # needs the extra [probe]
    report.probe.save("pets.probe")
    for prediction in load_probe("pets.probe").apply(library, "~/Pictures"): ...

`learn` is the whole way from labelled photos to a report; `fit` is the regression, `report` judges it on
photos held out, `curve` draws accuracy over photos a class, `file` keeps and applies, `plots` shows.
"""

from clipsight.probe.file import Probe as Probe
from clipsight.probe.file import load_probe as load_probe
from clipsight.probe.learn import fit_probe as fit_probe
from clipsight.probe.report import Report as Report
