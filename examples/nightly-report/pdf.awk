# Text in, PDF out: lines of a fixed width on A4, as many pages as they need. ASCII only, so that characters are bytes.
{
  gsub(/[^ -~]/, "?")
  gsub(/[\\()]/, "\\\\&")
  lines[++count] = $0
}

function add(number, body) {
  offset[number] = length(pdf)
  pdf = pdf number " 0 obj\n" body "\nendobj\n"
}

END {
  perPage = 48
  pages = int((count + perPage - 1) / perPage)
  if (pages == 0) pages = 1
  pdf = "%PDF-1.4\n"
  for (page = 0; page < pages; page++) kids = kids (4 + 2 * page) " 0 R "
  add(1, "<< /Type /Catalog /Pages 2 0 R >>")
  add(2, "<< /Type /Pages /Kids [ " kids "] /Count " pages " >>")
  add(3, "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>")
  for (page = 0; page < pages; page++) {
    text = "BT /F1 11 Tf 15 TL 56 786 Td\n"
    for (i = page * perPage + 1; i <= count && i <= (page + 1) * perPage; i++) text = text "(" lines[i] ") Tj T*\n"
    text = text "ET\n"
    number = 4 + 2 * page
    add(number, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents " (number + 1) " 0 R >>")
    add(number + 1, "<< /Length " length(text) " >>\nstream\n" text "endstream")
  }
  start = length(pdf)
  size = 4 + 2 * pages
  pdf = pdf "xref\n0 " size "\n0000000000 65535 f \n"
  for (i = 1; i < size; i++) pdf = pdf sprintf("%010d 00000 n \n", offset[i])
  printf "%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", pdf, size, start
}
