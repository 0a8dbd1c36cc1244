# Rscript glmnet_ties.R: writes glmnet_ties.json beside it (Debian: r-cran-glmnet, r-cran-survival, r-cran-jsonlite)
# glmnet puts censoring after the events of its time by adding 2.2e-14 to it, which no time of 256 or more can show.
library(glmnet)
library(jsonlite)
library(survival)
glmnet.control(mnlam = 1, fdev = 0, devmax = 1, epsnr = 1e-16, mxitnr = 20000)
survived <- read.csv("survival.csv")
S <- model.matrix(~ x + age + arm, survived)[, -1]
lambda <- c(0.01, 0.001)
path <- function(by) {
  fit <- glmnet(S, with(survived, Surv(by * time, event)), "cox", alpha = 1, lambda = lambda, thresh = 1e-20, maxit = 1e7)
  unname(t(as.matrix(coef(fit))))
}
found <- list(lambda = lambda, days = path(1), hundredths = path(100))
found$software <- list(R = R.version.string, glmnet = as.character(packageVersion("glmnet")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glmnet_ties.json")
