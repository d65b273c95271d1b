"""Sorts photos into folders by label, date or camera, and undoes that."""

from clipsight.organize.files import Method as Method
from clipsight.organize.labelling import OrganizeOptions as OrganizeOptions
from clipsight.organize.organizer import LabelledPhoto as LabelledPhoto
from clipsight.organize.organizer import OrganizeResult as OrganizeResult
from clipsight.organize.organizer import organize as organize
from clipsight.organize.undo import UndoResult as UndoResult
from clipsight.organize.undo import undo as undo

__all__ = ["LabelledPhoto", "Method", "OrganizeOptions", "OrganizeResult", "UndoResult", "organize", "undo"]
