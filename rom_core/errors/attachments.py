"""Why a file that came with a request is not sent to a model; each reason has its own code and sentence.

All but FilesFull mean that the request has to be changed: nothing was sent to Bedrock.
"""

from __future__ import annotations

from rom_core.errors.requests import InvalidRequest, NotFound, Rejected


class AttachmentRefused(InvalidRequest):
    """The base of them; `param` says which file, as `attachments.0`."""

    code, title = "attachment_refused", "Attachment refused"


class FileNotFound(NotFound):
    """No file of that id is kept for this key: it was never there, has expired, was deleted, or is another key's."""

    code, title = "file_not_found", "No such file"


class FilesFull(Rejected):
    """All files that are kept have as many bytes as they may."""

    code, title = "files_full", "No room for more files"


class AttachmentNotBase64(AttachmentRefused):
    """Its data is not base64."""

    code, title = "attachment_not_base64", "The attachment is not base64"


class AttachmentUrl(AttachmentRefused):
    """An address stands in the place of the file; the server fetches nothing for a client."""

    code, title = "attachment_url", "Addresses are not fetched"


class AttachmentName(AttachmentRefused):
    """Its name is too long, or has control characters."""

    code, title = "attachment_name", "The name of the attachment cannot be used"


class AttachmentType(AttachmentRefused):
    """It is of no kind that is read here."""

    code, title = "attachment_type", "Attachments of this kind are not read"


class AttachmentMislabelled(AttachmentRefused):
    """Its content is of another kind than its name or media type says."""

    code, title = "attachment_mislabelled", "The attachment is not what its label says"


class AttachmentEmpty(AttachmentRefused):
    """There is nothing in it."""

    code, title = "attachment_empty", "The attachment is empty"


class AttachmentBroken(AttachmentRefused):
    """It begins as a file of its kind and cannot be read."""

    code, title = "attachment_broken", "The attachment is damaged"


class AttachmentEncrypted(AttachmentRefused):
    """It is encrypted, with or without a password for reading it."""

    code, title = "attachment_encrypted", "The attachment is encrypted"


class AttachmentTooComplex(AttachmentRefused):
    """To unpack it would take far more memory or time than a document does."""

    code, title = "attachment_too_complex", "The attachment takes too much to read"


class AttachmentTooManyPages(AttachmentRefused):
    """It has more pages than are read."""

    code, title = "attachment_too_many_pages", "The document has too many pages"


class DocumentTooLarge(AttachmentRefused):
    """A document has more bytes than Bedrock takes."""

    code, title = "document_too_large", "The document is too large"


class ImageTooLarge(AttachmentRefused):
    """An image has more bytes than Bedrock takes."""

    code, title = "image_too_large", "The image is too large"


class ImageTooManyPixels(AttachmentRefused):
    """An image is wider or higher than Bedrock takes."""

    code, title = "image_too_many_pixels", "The image has too many pixels"


class TooManyDocuments(AttachmentRefused):
    """More documents than Bedrock takes in one request, earlier messages included."""

    code, title = "too_many_documents", "Too many documents"


class TooManyImages(AttachmentRefused):
    """More images than Bedrock takes in one request, earlier messages included."""

    code, title = "too_many_images", "Too many images"


class AttachmentNotReadByModel(AttachmentRefused):
    """The model that was asked for does not read such files, by its row of MODELS."""

    code, title = "attachment_not_read_by_model", "The model does not read such files"
