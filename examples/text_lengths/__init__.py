"""The quickstart's C# form: how long each of some texts is."""
