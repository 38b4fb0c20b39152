"""The quickstart's Java form: how many words some sentences have together."""
