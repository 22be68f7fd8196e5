"""The port's small functions as faulty ports have them, by area; `SWITCHES` names them."""
