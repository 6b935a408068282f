`ampproxy models --prices` shows what each model takes and costs; `ampproxy chat MODEL` talks with one through the service.
