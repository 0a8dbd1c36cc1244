from isthmus.model.errors import Invalid as Invalid
from isthmus.model.errors import IsthmusError as IsthmusError
from isthmus.model.errors import Refused as Refused
from isthmus.model.errors import Unavailable as Unavailable
from isthmus.model.errors import Untrusted as Untrusted
from isthmus.sdk.bundle import verify as verify
from isthmus.sdk.connect import connect as connect
from isthmus.sdk.meta import pool_estimates as pool_estimates
from isthmus.sdk.meta import pool_tables as pool_tables
from isthmus.sdk.precision import precision as precision
from isthmus.sdk.rehearse import rehearse as rehearse
from isthmus.sdk.result import Result as Result
from isthmus.sdk.study import Study as Study

__version__: str
