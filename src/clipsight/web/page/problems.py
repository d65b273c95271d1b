"""An error as the page tells it: what can't be done, in the reader's language, with the error's own words.

Called by all tabs.
"""

from clipsight.core.errors import ClipsightError, LabelError, ModelError, PhotoError, QueryError
from clipsight.web.page.texts import Texts
from clipsight.web.service.errors import BusyError, NoModelError, NotFoundError


def told(error: ClipsightError, texts: Texts) -> str:
    """One line; in English the error's own."""
    match error:
        case QueryError():
            sentence = texts.bad_query
        case PhotoError():
            sentence = texts.bad_picture
        case LabelError():
            sentence = texts.bad_labels
        case ModelError():
            sentence = texts.bad_model
        case NotFoundError():
            sentence = texts.not_there
        case BusyError():
            sentence = texts.busy
        case NoModelError():
            sentence = texts.no_photos_yet
        case _:
            sentence = texts.bad_library
    return sentence.format(reason=error)
