"""Forty clean files that look suspicious to a careless eye."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from documents_support import docx, image, pdf
from docx.enum.text import WD_COLOR_INDEX
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt, RGBColor
from hidden_support import BODY, ORDERS, Build, note, run
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table


def _platypus(*parts: Any) -> bytes:
    made = io.BytesIO()
    SimpleDocTemplate(made, pagesize=A4, title="Petição inicial", author="Escritório").build(list(parts))
    return made.getvalue()


def _table(head: Any, text: Any) -> bytes:
    """A table with a dark head in white letters."""
    style = [("BACKGROUND", (0, 0), (-1, 0), head), ("TEXTCOLOR", (0, 0), (-1, 0), text)]
    rows = [["Parcela e vencimento", "Valor devido em reais"], *([f"{number}", "1.234,56"] for number in range(9))]
    return _platypus(Table(rows, style=style))


def _on_dark(canvas: Canvas, shade: float = 0.1) -> None:
    canvas.setFillGray(shade)
    canvas.rect(60, 380, 400, 60, stroke=0, fill=1)
    canvas.setFillGray(1)
    canvas.drawString(72, 400, "RELATÓRIO ANUAL DE ATIVIDADES DO ESCRITÓRIO")


def _on_path(canvas: Canvas) -> None:
    path = canvas.beginPath()
    path.moveTo(60, 380)
    path.lineTo(460, 380)
    path.lineTo(460, 440)
    path.lineTo(60, 440)
    path.close()
    canvas.setFillColorRGB(0.1, 0.2, 0.5)
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.setFillColorRGB(1, 1, 1)
    canvas.drawString(72, 400, "RELATÓRIO ANUAL DE ATIVIDADES DO ESCRITÓRIO")


def _on_photo(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(io.BytesIO(image("JPEG", (200, 60)))), 60, 380, 400, 60)
    canvas.setFillGray(1)
    canvas.drawString(72, 400, "RELATÓRIO ANUAL DE ATIVIDADES DO ESCRITÓRIO")


def _scanned(canvas: Canvas) -> None:
    """A page of a scanner, with the invisible text that makes it searchable."""
    canvas.drawImage(ImageReader(io.BytesIO(image("JPEG", (600, 850)))), 0, 0, A4[0], A4[1])
    text = canvas.beginText(72, 600)
    text.setTextRenderMode(3)
    text.textLines([BODY[start : start + 60] for start in range(0, len(BODY), 60)])
    canvas.drawText(text)


def _small_print(canvas: Canvas, size: float = 4) -> None:
    canvas.setFont("Helvetica", size)
    canvas.drawString(72, 100, "Documento assinado digitalmente; confira em https://example.com/autenticidade")


def _stamp(canvas: Canvas) -> None:
    canvas.saveState()
    canvas.translate(580, 100)
    canvas.rotate(90)
    canvas.setFont("Helvetica", 7)
    canvas.setFillGray(0.5)
    canvas.drawString(0, 0, "Este documento é cópia do original, assinado digitalmente por Fulano de Tal")
    canvas.restoreState()


def _watermark(canvas: Canvas, grey: float) -> None:
    canvas.saveState()
    canvas.setFillGray(grey)
    canvas.setFont("Helvetica", 60)
    canvas.drawString(72, 300, "MINUTA")
    canvas.restoreState()


def _spaces(canvas: Canvas) -> None:
    canvas.setFillGray(1)
    canvas.drawString(72, 300, "   . . .   ")


def _shaded_cell(document: Any) -> None:
    table = document.add_table(rows=2, cols=2)
    for cell in table.rows[0].cells:
        shading = OxmlElement("w:shd")
        shading.set(qn("w:val"), "clear")
        shading.set(qn("w:fill"), "1F3864")
        cell._tc.get_or_add_tcPr().append(shading)
        cell.paragraphs[0].add_run("Parcela e vencimento").font.color.rgb = RGBColor(255, 255, 255)


def _styled_table(document: Any) -> None:
    table = document.add_table(rows=2, cols=2, style="Medium Grid 3 Accent 1")
    table.cell(0, 0).paragraphs[0].add_run("Parcela e vencimento").font.color.rgb = RGBColor(255, 255, 255)


def _highlighted(document: Any) -> None:
    run = document.add_paragraph().add_run("Trecho destacado em fundo preto")
    run.font.color.rgb, run.font.highlight_color = RGBColor(255, 255, 255), WD_COLOR_INDEX.BLACK


def _shaded_paragraph(document: Any) -> None:
    paragraph = document.add_paragraph()
    shading = OxmlElement("w:shd")
    shading.set(qn("w:val"), "clear")
    shading.set(qn("w:fill"), "000000")
    paragraph._p.get_or_add_pPr().append(shading)
    paragraph.add_run("TÍTULO EM FUNDO ESCURO").font.color.rgb = RGBColor(255, 255, 255)


def _human_comment(document: Any) -> None:
    paragraph = document.add_paragraph(BODY)
    document.add_comment(paragraph.runs, text="Conferir a data da citação com o cliente.", author="B", initials="B")


def _about_ai(document: Any) -> None:
    """What is seen may speak of such orders: a decision that fines somebody for them."""
    document.add_paragraph(f"A parte inseriu em letras brancas a ordem: {ORDERS[0]} O juízo aplicou multa.")


def _headings(document: Any) -> None:
    for level in range(4):
        document.add_heading(f"Dos fatos, parte {level + 1}", level)
    document.add_paragraph("item", style="List Bullet")


def clean() -> Iterator[tuple[str, Build]]:
    """Forty, by name."""
    style = getSampleStyleSheet()
    for pages in (1, 10):
        yield f"pdf of {pages}", lambda pages=pages: pdf(pages=pages)  # type: ignore[misc]
    for number, head in enumerate((colors.black, colors.darkblue, colors.grey, colors.HexColor("#2E75B6"))):
        yield f"pdf dark head {number}", lambda head=head: _table(head, colors.white)  # type: ignore[misc]
    yield "pdf light head", lambda: _table(colors.lightgrey, colors.black)
    for shade in (0.0, 0.3, 0.6):
        yield f"pdf on grey {shade}", lambda shade=shade: pdf(lambda canvas: _on_dark(canvas, shade))  # type: ignore[misc]
    for draw in (_on_path, _on_photo, _scanned, _stamp, _small_print, _spaces):
        yield f"pdf {draw.__name__}", lambda draw=draw: pdf(draw)  # type: ignore[misc]
    for grey in (0.85,):
        yield f"pdf watermark {grey}", lambda grey=grey: pdf(lambda canvas: _watermark(canvas, grey))  # type: ignore[misc]
    yield "pdf small print", lambda: pdf(lambda canvas: _small_print(canvas, 3.5))
    yield "pdf prose", lambda: _platypus(*(Paragraph(BODY, style["BodyText"]) for _ in range(40)))
    yield "pdf headings", lambda: _platypus(Paragraph("Dos fatos", style["Heading1"]), Paragraph(BODY, style["Italic"]))
    yield "pdf superscript", lambda: _platypus(Paragraph(f"{BODY}<super size=5>12</super>", style["BodyText"]))
    yield "pdf about AI", lambda: _platypus(Paragraph(f"Letras brancas: {ORDERS[0]} Multa.", style["BodyText"]))
    yield "pdf metadata", lambda: pdf(lambda canvas: canvas.setTitle("Petição inicial, ação de cobrança"))
    yield "pdf subject", lambda: pdf(lambda canvas: canvas.setSubject("Recurso: procedência do pedido; analisar prazo"))
    yield "pdf keywords", lambda: pdf(lambda canvas: canvas.setKeywords("IA; inteligência artificial; LGPD"))
    yield "pdf note", lambda: note("Conferir o prazo com a secretaria.")
    for change in (_shaded_cell, _styled_table, _highlighted, _shaded_paragraph, _human_comment, _about_ai, _headings):
        yield f"docx {change.__name__}", lambda change=change: docx(change)  # type: ignore[misc]
    yield "docx plain", docx
    yield "docx prose", lambda: docx(text=BODY * 30)
    yield "docx small", run("Rodapé em letra miúda", lambda run: setattr(run.font, "size", Pt(6)))
    yield "docx grey", run("Texto em cinza claro", lambda run: setattr(run.font.color, "rgb", RGBColor(200, 200, 200)))
    yield "docx red", run("Texto em vermelho", lambda run: setattr(run.font.color, "rgb", RGBColor(255, 0, 0)))
    yield "docx not hidden", run("Texto que se vê", lambda run: setattr(run.font, "hidden", False))
    yield "docx white blanks", run(" . ", lambda run: setattr(run.font.color, "rgb", RGBColor(255, 255, 255)))
